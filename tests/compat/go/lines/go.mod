module trunkline/compat/lines

go 1.24
