"""The backward pass: a program of the core language, written by one adjoint rule per instruction."""
