module trunkline/compat/gocent

go 1.24

require (
	github.com/centrifugal/gocent/v3 v3.2.0
	trunkline/compat/lines v0.0.0
)

replace trunkline/compat/lines => ../lines
