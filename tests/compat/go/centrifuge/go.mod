module trunkline/compat/centrifuge

go 1.24

require (
	github.com/centrifugal/centrifuge-go v0.12.1
	trunkline/compat/lines v0.0.0
)

replace trunkline/compat/lines => ../lines
