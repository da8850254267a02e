"""The codes of everything that the builder refuses; the one table of them, from which the documentation is made."""

from __future__ import annotations

from enum import StrEnum
from types import MappingProxyType

__all__ = ["MEANINGS", "Code"]


class Code(StrEnum):
    """A finding of the semantic checks."""

    UNKNOWN_NAME = "TP201"
    UNKNOWN_FUNCTION = "TP202"
    DECLARED_TWICE = "TP203"
    WRONG_KIND = "TP204"
    SHAPES = "TP205"
    WIDTH_FOR_SIZE = "TP206"
    WIDTH_RATIO = "TP207"
    REPEATED_AXIS = "TP208"
    NOT_AFFINE = "TP209"
    INDEX_COUNT = "TP210"
    FREE_AXIS = "TP211"
    FUTURE = "TP212"
    SCAN_BODY = "TP213"
    NEGATIVE_VARIANCE = "TP214"
    ZERO_DIVISION = "TP215"
    HYPERPARAMETER = "TP216"
    NO_OUTPUT = "TP217"
    NO_PROGRAM = "TP218"
    ARGUMENTS = "TP219"
    NOT_INTEGER = "TP220"
    DERIVATIVE = "TP221"
    NO_RETURN = "TP222"
    RECURSION = "TP223"
    NOT_GAUSSIAN = "TP224"
    TOO_LARGE = "TP225"
    EMPTY = "TP226"
    UNBOUND_SIZE = "TP227"
    MISPLACED = "TP228"
    NOT_ELEMENTWISE = "TP229"
    MATRIX = "TP230"
    NOT_A_NUMBER = "TP231"


MEANINGS = MappingProxyType(
    {
        Code.UNKNOWN_NAME: "a name that nothing declares, or that is read before it is defined",
        Code.UNKNOWN_FUNCTION: "a function or block that does not exist",
        Code.DECLARED_TWICE: "a name that is declared already",
        Code.WRONG_KIND: "a name of another kind: an axis called, a variable transposed, a function used as a number",
        Code.SHAPES: "shapes that do not fit",
        Code.WIDTH_FOR_SIZE: "a width where a finite dimension is needed",
        Code.WIDTH_RATIO: "a width that is not at a fixed ratio to the first one",
        Code.REPEATED_AXIS: "one axis twice in a list of axes",
        Code.NOT_AFFINE: "an index that is not affine in axes with integer coefficients",
        Code.INDEX_COUNT: "a wrong number of indices, or indices on a variable without axes",
        Code.FREE_AXIS: "an axis that is free on the right and neither on the left nor bound",
        Code.FUTURE: "a scan that reads its own future, or a step that is not the present or the one before",
        Code.SCAN_BODY: "a statement that may not stand in a scan, or a scan over an unsuitable axis",
        Code.NEGATIVE_VARIANCE: "a negative or undefined variance",
        Code.ZERO_DIVISION: "a division by zero in a constant",
        Code.HYPERPARAMETER: "a hyperparameter that the program does not have, or a value that is not a number",
        Code.NO_OUTPUT: "a program without output",
        Code.NO_PROGRAM: "a file without `program`",
        Code.ARGUMENTS: "a wrong number of arguments, or an unknown or repeated keyword argument",
        Code.NOT_INTEGER: "something that is not a known integer where one is needed",
        Code.DERIVATIVE: "`derivative` on a function of several variables",
        Code.NO_RETURN: "a block without `return`",
        Code.RECURSION: "a function or block that calls itself",
        Code.NOT_GAUSSIAN: "an output that is not Gaussian in the limit",
        Code.TOO_LARGE: "a loop, an axis or a nesting larger than the limits",
        Code.EMPTY: "an axis or a dimension without elements",
        Code.UNBOUND_SIZE: "a size that no input binds",
        Code.MISPLACED: "a statement where it may not stand",
        Code.NOT_ELEMENTWISE: "something in an `fn` that is not elementwise",
        Code.MATRIX: "a matrix without `@`, or an `@` without a matrix on its left",
        Code.NOT_A_NUMBER: "a variable where a number is needed",
    }
)
