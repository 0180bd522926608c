module {{name}}

go 1.24

require wsrun v0.1.0

replace wsrun => ./wsrun-sdk
