module trunkline/compat/pusher

go 1.24

require (
	github.com/pusher/pusher-http-go/v5 v5.1.1
	trunkline/compat/lines v0.0.0
)

replace trunkline/compat/lines => ../lines
