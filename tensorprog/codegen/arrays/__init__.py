"""Source text for the pair programs of programs over axes; nothing here is executed."""
