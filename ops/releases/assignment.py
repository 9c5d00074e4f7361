"""Who belongs to a canary: decided by a salted hash alone, so that every worker and every restart decides alike."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import blake2b

BASIS_POINTS = 10_000
_BITS = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Assignment:
    """The share of a canary, in basis points of 0.01 %, and the salt that decides who is in it.

    With the same salt a larger share holds everybody whom a smaller one holds; with another, others are chosen.
    """

    salt: str
    basis_points: int

    def holds(self, key: str) -> bool:
        """Whether whoever is named `key` belongs to the canary.

        >>> Assignment(salt="s", basis_points=10_000).holds("customer 7"), Assignment(salt="s", basis_points=0).holds("7")
        (True, False)
        """
        digest = blake2b(key.encode(), digest_size=_BITS // 8, key=self.salt.encode()).digest()
        # A multiplication instead of a remainder: every slot then holds as many of the 2**64 values, give or take one.
        return int.from_bytes(digest) * BASIS_POINTS >> _BITS < self.basis_points
