module wsrun

go 1.24
