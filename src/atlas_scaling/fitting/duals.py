"""Exact derivatives of any law: numbers that carry their partial derivatives along.

A ``Dual`` is a value and, for each parameter it depends on, the partial derivative of that value
(forward-mode automatic differentiation). It takes part in plain NumPy code through
``__array_ufunc__``, so a law written for arrays gives its Jacobian without being written twice.
Partial derivatives that are zero are not stored: a term pays only for the parameters it uses.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final

import numpy as np
from numpy.lib.mixins import NDArrayOperatorsMixin

ONE: Final = np.float64(1.0)
"""The derivative of a parameter by itself, compared by identity to save a multiplication."""


class Dual(NDArrayOperatorsMixin):
    """A value with its partial derivatives, by parameter number.

    Args:
        value: an array, any shape.
        parts: parameter number -> derivative of ``value``, broadcastable against it.
    """

    __slots__ = ("parts", "value")

    def __init__(self, value: Any, parts: dict[int, Any]) -> None:
        self.value = value
        self.parts = parts

    def __repr__(self) -> str:
        return f"Dual({self.value!r}, d/d{sorted(self.parts)})"

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the value."""
        return np.shape(self.value)

    def sum(self, axis: int | None = None) -> Dual:
        """Sum of the value and of each derivative, as ``ndarray.sum``."""
        shape = self.shape
        parts = {k: np.broadcast_to(t, shape).sum(axis=axis) for k, t in self.parts.items()}
        return Dual(np.sum(self.value, axis=axis), parts)

    def __getitem__(self, index: Any) -> Dual:
        shape = self.shape
        return Dual(
            self.value[index],
            {k: np.broadcast_to(t, shape)[index] for k, t in self.parts.items()},
        )

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **kwargs: Any) -> Any:
        if method == "reduce" and ufunc is np.add:
            return self.sum(axis=kwargs.get("axis", 0))
        if method != "__call__" or kwargs:
            return NotImplemented
        rule = _RULES.get(ufunc)
        if rule is not None:
            return rule(*inputs)
        if ufunc in _ON_VALUES:
            return ufunc(*(value_of(a) for a in inputs))
        raise TypeError(
            f"np.{ufunc.__name__} has no derivative rule here; write the law with "
            + ", ".join(sorted(u.__name__ for u in _RULES))
        )

    def __array_function__(
        self,
        func: Callable[..., Any],
        types: Iterable[type],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> Any:
        if func is np.where and len(args) == 3:
            return _where(*args)
        if func is np.clip:
            low, high = args[1:3]
            return np.minimum(np.maximum(args[0], low), high)
        if func is np.sum:
            return args[0].sum(*args[1:], **kwargs)
        if func is np.shape:
            return args[0].shape
        raise TypeError(f"np.{func.__name__} cannot be differentiated here")


def value_of(a: Any) -> Any:
    """The value of a ``Dual``; anything else as it is."""
    return a.value if isinstance(a, Dual) else a


def parts_of(a: Any) -> dict[int, Any]:
    """The derivatives of a ``Dual``; none for a constant."""
    return a.parts if isinstance(a, Dual) else {}


def _scaled(parts: dict[int, Any], factor: Any) -> dict[int, Any]:
    return {k: factor if t is ONE else t * factor for k, t in parts.items()}


def _merged(first: dict[int, Any], second: dict[int, Any]) -> dict[int, Any]:
    """Sum of two sets of derivatives."""
    if not first:
        return second
    merged = dict(first)
    for k, t in second.items():
        merged[k] = merged[k] + t if k in merged else t
    return merged


def _add(a: Any, b: Any) -> Dual:
    return Dual(value_of(a) + value_of(b), _merged(parts_of(a), parts_of(b)))


def _subtract(a: Any, b: Any) -> Dual:
    return Dual(value_of(a) - value_of(b), _merged(parts_of(a), _scaled(parts_of(b), -1.0)))


def _multiply(a: Any, b: Any) -> Dual:
    va, vb = value_of(a), value_of(b)
    return Dual(va * vb, _merged(_scaled(parts_of(a), vb), _scaled(parts_of(b), va)))


def _divide(a: Any, b: Any) -> Dual:
    vb = value_of(b)
    inverse = 1.0 / vb
    value = value_of(a) * inverse
    parts = _scaled(parts_of(a), inverse)
    if isinstance(b, Dual):
        parts = _merged(parts, _scaled(b.parts, -value * inverse))
    return Dual(value, parts)


def _power(a: Any, b: Any) -> Dual:
    """``a ** b`` for ``a > 0``, or for any ``a`` and a constant ``b``."""
    va, vb = value_of(a), value_of(b)
    if not isinstance(b, Dual):
        value = va**vb
        return Dual(value, _scaled(a.parts, vb * va ** (vb - 1.0)))
    log_a = np.log(va)
    value = np.exp(vb * log_a)
    # 0 ** b is 0 for every b > 0, so its slope is 0, not 0 * -inf
    parts = _scaled(b.parts, value * np.where(va > 0, log_a, 0.0))
    if isinstance(a, Dual):
        parts = _merged(_scaled(a.parts, vb * value / va), parts)
    return Dual(value, parts)


def _choose(first_wins: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Dual]:
    def rule(a: Any, b: Any) -> Dual:
        first = first_wins(value_of(a), value_of(b))
        if isinstance(a, Dual) and a.shape == first.shape and first.all():
            return a  # a guard that does not bind, as most do not
        return _where(first, a, b)

    return rule


def _where(condition: Any, a: Any, b: Any) -> Dual:
    parts_a, parts_b = parts_of(a), parts_of(b)
    parts = {
        k: np.where(condition, parts_a.get(k, 0.0), parts_b.get(k, 0.0))
        for k in (*parts_a, *(k for k in parts_b if k not in parts_a))
    }
    return Dual(np.where(condition, value_of(a), value_of(b)), parts)


def _logaddexp(a: Any, b: Any) -> Dual:
    va, vb = value_of(a), value_of(b)
    value = np.logaddexp(va, vb)
    share_a, share_b = np.exp(va - value), np.exp(vb - value)
    return Dual(value, _merged(_scaled(parts_of(a), share_a), _scaled(parts_of(b), share_b)))


def _unary(
    function: Callable[[Any], Any], derivative: Callable[[Any, Any], Any]
) -> Callable[[Dual], Dual]:
    """Rule of a function of one number; ``derivative`` gets the argument and the value."""

    def rule(a: Dual) -> Dual:
        value = function(a.value)
        return Dual(value, _scaled(a.parts, derivative(a.value, value)))

    return rule


_RULES: Final[dict[Any, Callable[..., Dual]]] = {
    np.add: _add,
    np.subtract: _subtract,
    np.multiply: _multiply,
    np.divide: _divide,
    np.power: _power,
    np.float_power: _power,
    np.maximum: _choose(np.greater),
    np.minimum: _choose(np.less),
    np.logaddexp: _logaddexp,
    np.negative: _unary(np.negative, lambda x, v: -1.0),
    np.positive: _unary(np.positive, lambda x, v: 1.0),
    np.exp: _unary(np.exp, lambda x, v: v),
    np.exp2: _unary(np.exp2, lambda x, v: v * np.log(2.0)),
    np.expm1: _unary(np.expm1, lambda x, v: v + 1.0),
    np.log: _unary(np.log, lambda x, v: 1.0 / x),
    np.log1p: _unary(np.log1p, lambda x, v: 1.0 / (1.0 + x)),
    np.log2: _unary(np.log2, lambda x, v: 1.0 / (x * np.log(2.0))),
    np.log10: _unary(np.log10, lambda x, v: 1.0 / (x * np.log(10.0))),
    np.sqrt: _unary(np.sqrt, lambda x, v: 0.5 / v),
    np.square: _unary(np.square, lambda x, v: 2.0 * x),
    np.reciprocal: _unary(np.reciprocal, lambda x, v: -v * v),
    np.tanh: _unary(np.tanh, lambda x, v: 1.0 - v * v),
    np.absolute: _unary(np.absolute, lambda x, v: np.sign(x)),
}

_ON_VALUES: Final = frozenset(
    {
        np.greater,
        np.greater_equal,
        np.less,
        np.less_equal,
        np.equal,
        np.not_equal,
        np.isfinite,
        np.isnan,
        np.sign,
    }
)
