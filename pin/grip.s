// Functions without a body need an assembly file in their package: grip_unsafe.go.
