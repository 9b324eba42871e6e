import pickle

from wor.errors import LONGEST, UserError


def test_a_refusal_is_one_line_that_a_terminal_shows_as_it_is():
    error = UserError("a\nb", "red\x1b[31m\u202e", "Do\nthis")
    assert str(error) == r"a b: red\x1b[31m\u202e. Do this"
    assert str(pickle.loads(pickle.dumps(error))) == str(error)


def test_a_long_value_is_cut_and_the_remedy_is_not():
    remedy = "x" * (2 * LONGEST)
    assert str(UserError("k", "v" * 10_000, remedy)) == f"k: {'v' * LONGEST} .... {remedy}"
