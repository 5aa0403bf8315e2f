"""The fingerprint of ROCA, worked out apart from the code."""

from callcov_auth.tokens.roca import _POWERS, GENERATOR, _powers, has_roca_fingerprint


def is_prime(number: int) -> bool:
    return number > 1 and all(number % divisor for divisor in range(2, number))


def test_the_powers_modulo_each_odd_prime_up_to_167() -> None:
    assert list(_POWERS) == [number for number in range(3, 168) if is_prime(number)]
    for prime, powers in _POWERS.items():
        assert powers == _powers(prime) == {pow(GENERATOR, exponent, prime) for exponent in range(prime)}


def test_a_power_has_the_fingerprint_and_its_neighbour_has_not() -> None:
    power = GENERATOR**20
    assert has_roca_fingerprint(power)
    assert not has_roca_fingerprint(power + 2)
    assert not has_roca_fingerprint(power + 3 * 5 * 7 * 11)


def test_one_prime_that_does_not_fit_is_enough() -> None:
    others = 1
    for prime in _POWERS:
        others *= prime if prime != 11 else 1
    assert has_roca_fingerprint(1)
    assert not has_roca_fingerprint(1 + others)
