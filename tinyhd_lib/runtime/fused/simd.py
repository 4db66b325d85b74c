"""SIMD vectors of eight float32 for Numba, with operations of an instruction or two each, on any processor.

Numba has no vector types, and its compiler does not vectorise loops over rows with neighbours.
"""

from collections.abc import Callable, Sequence
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.datamodel import models
from numba.core.datamodel.registry import register_default
from numba.extending import intrinsic

LANES = 8
"""Floats in a vector; the width of every level of a student is a multiple of it."""

_WORD = ir.IntType(32)
_VECTOR = ir.VectorType(ir.FloatType(), LANES)
_WORDS = ir.VectorType(_WORD, LANES)
_ZEROS = ir.Constant(_VECTOR, [0.0] * LANES)

Build = Callable[..., Any]


class _Vector(types.Type):
    def __init__(self) -> None:
        super().__init__(name=f"float32x{LANES}")


@register_default(_Vector)
class _VectorModel(models.PrimitiveModel):
    def __init__(self, manager: Any, kind: types.Type) -> None:
        super().__init__(manager, kind, _VECTOR)  # type: ignore[no-untyped-call]


_vector = _Vector()


def _generator(build: Build) -> Build:
    return lambda _context, builder, _signature, vectors: build(builder, *vectors)


# Numba inspects the number of arguments of an operation.
def _of_one(build: Build) -> Any:
    return intrinsic(lambda _context, a: (_vector(_vector), _generator(build)))  # noqa: ARG005


def _of_two(build: Build) -> Any:
    return intrinsic(lambda _context, a, b: (_vector(_vector, _vector), _generator(build)))  # noqa: ARG005


def _of_three(build: Build) -> Any:
    return intrinsic(lambda _context, a, b, c: (_vector(_vector, _vector, _vector), _generator(build)))  # noqa: ARG005


def _library(name: str) -> Build:
    """Return one of LLVM's own functions."""

    def build(builder: Any, *vectors: Any) -> Any:
        kind = ir.FunctionType(_VECTOR, [_VECTOR] * len(vectors))
        return builder.call(cgutils.get_or_insert_function(builder.module, kind, f"llvm.{name}.v{LANES}f32"), vectors)

    return build


def _lanes(*order: int) -> Build:
    """Return the chosen lanes of two vectors, numbered consecutively; the second one is zero by default."""
    mask = ir.Constant(_WORDS, order)
    return lambda builder, a, b=_ZEROS: builder.shuffle_vector(a, b, mask)


def _power_of_two(builder: Any, exponent: Any) -> Any:
    whole = builder.add(builder.fptosi(exponent, _WORDS), ir.Constant(_WORDS, [127] * LANES))
    return builder.bitcast(builder.shl(whole, ir.Constant(_WORDS, [23] * LANES)), _VECTOR)


_ZIP = [lane for pair in zip(range(LANES), range(LANES, 2 * LANES), strict=True) for lane in pair]

add = _of_two(lambda builder, a, b: builder.fadd(a, b))
subtract = _of_two(lambda builder, a, b: builder.fsub(a, b))
multiply = _of_two(lambda builder, a, b: builder.fmul(a, b))
divide = _of_two(lambda builder, a, b: builder.fdiv(a, b))
fma = _of_three(_library("fmuladd"))  # a b + c, in one instruction where the processor has it
larger = _of_two(lambda builder, a, b: builder.select(builder.fcmp_ordered(">", a, b), a, b))
smaller = _of_two(lambda builder, a, b: builder.select(builder.fcmp_ordered("<", a, b), a, b))
nearest = _of_one(_library("rint"))
power_of_two = _of_one(_power_of_two)  # of whole numbers from -126 to 127
evens = _of_two(_lanes(*range(0, 2 * LANES, 2)))  # a0 a2 .. b0 b2 ..
odds = _of_two(_lanes(*range(1, 2 * LANES, 2)))  # a1 a3 .. b1 b3 ..
zip_first = _of_two(_lanes(*_ZIP[:LANES]))  # a0 b0 a1 b1 ..
zip_last = _of_two(_lanes(*_ZIP[LANES:]))  # a4 b4 a5 b5 ..
after_zero = _of_one(_lanes(LANES, *range(LANES - 1)))  # 0 a0 a1 .. a6
before_zero = _of_one(_lanes(*range(1, LANES + 1)))  # a1 .. a7 0


def _load(_typing_context: Any, array: Any, index: Any) -> Any:  # noqa: ARG001
    """Return the vector at an index of a flat array, without a bounds check."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Sequence[Any]) -> Any:
        return builder.load(_address(context, builder, signature, arguments), align=4)

    return _vector(array, types.intp), generate


def _store(_typing_context: Any, array: Any, index: Any, vector: Any) -> Any:  # noqa: ARG001
    """Write a vector at an index of a flat array."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Sequence[Any]) -> Any:
        builder.store(arguments[2], _address(context, builder, signature, arguments), align=4)
        return context.get_dummy_value()

    return types.none(array, types.intp, _vector), generate


def _splat(_typing_context: Any, number: Any) -> Any:  # noqa: ARG001
    """Return the same float32 in every lane."""

    def generate(_context: Any, builder: Any, _signature: Any, arguments: Sequence[Any]) -> Any:
        single = builder.insert_element(_ZEROS, arguments[0], ir.Constant(_WORD, 0))
        return builder.shuffle_vector(single, _ZEROS, ir.Constant(_WORDS, [0] * LANES))

    return _vector(types.float32), generate


load: Any = intrinsic(_load)
store: Any = intrinsic(_store)
splat: Any = intrinsic(_splat)


def _address(context: Any, builder: Any, signature: Any, arguments: Sequence[Any]) -> Any:
    data = context.make_array(signature.args[0])(context, builder, arguments[0]).data
    return builder.bitcast(builder.gep(data, [arguments[1]]), _VECTOR.as_pointer())
