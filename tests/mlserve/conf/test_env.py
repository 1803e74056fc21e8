from pathlib import Path

import pytest
from django.core.exceptions import ImproperlyConfigured

from mlserve.conf.env import Env


def env(value: str) -> Env:
    return Env({"NAME": value})


@pytest.mark.parametrize("value", ["1", "true", "Yes", " on "])
def test_it_reads_a_flag_that_is_set(value: str) -> None:
    assert env(value).flag("NAME", default=False) is True


@pytest.mark.parametrize("value", ["0", "false", "No", "off", ""])
def test_it_reads_a_flag_that_is_not_set(value: str) -> None:
    assert env(value).flag("NAME", default=True) is False


@pytest.mark.parametrize("default", [True, False])
def test_it_gives_the_default_of_an_absent_flag(default: bool) -> None:
    assert Env({}).flag("NAME", default=default) is default


@pytest.mark.parametrize(
    ("value", "size"),
    [
        ("5242880", 5 * 2**20),
        ("5_000", 5000),
        ("512MiB", 512 * 2**20),
        ("1 GiB", 2**30),
        ("5MB", 5_000_000),
        ("7kb", 7000),
        (" 3 KiB ", 3 * 2**10),
        ("2gb", 2 * 10**9),
    ],
)
def test_it_reads_a_size_with_its_unit(value: str, size: int) -> None:
    assert env(value).size_bytes("NAME", default=1) == size


@pytest.mark.parametrize(("value", "number"), [("5", 5), (" 7 ", 7), ("50_000", 50_000), ("", 9)])
def test_it_reads_a_number(value: str, number: int) -> None:
    assert env(value).number("NAME", default=9, at_least=1) == number


@pytest.mark.parametrize("value", ["abc", "1.5", "0", "-3", "11", "1e1", "9" * 5000], ids=lambda value: value[:10])
def test_it_names_what_is_wrong_with_a_number(value: str) -> None:
    with pytest.raises(ImproperlyConfigured) as refusal:
        env(value).number("NAME", default=5, at_least=1, at_most=10)

    assert str(refusal.value) == f"NAME is {value!r}; allowed is a whole number, at least 1, at most 10."


@pytest.mark.parametrize(
    "value",
    ["abc", "MiB", "1.5GiB", "5 TB", "-5", "0", "5 5", "1__0 kb", "9" * 5000],
    ids=lambda value: value[:10],
)
def test_it_names_what_is_wrong_with_a_size(value: str) -> None:
    with pytest.raises(ImproperlyConfigured) as refusal:
        env(value).size_bytes("NAME", default=5)

    assert str(refusal.value) == f"NAME is {value!r}; allowed is bytes as 5242880 or 5MiB, at least 1."


def test_it_names_what_is_wrong_with_a_flag() -> None:
    with pytest.raises(ImproperlyConfigured, match=r"^NAME is 'maybe'; allowed is 1 or 0\.$"):
        env("maybe").flag("NAME", default=False)


def test_it_names_what_is_wrong_with_a_choice() -> None:
    with pytest.raises(ImproperlyConfigured, match=r"^NAME is 'opne'; allowed is private or public\.$"):
        env("opne").choice("NAME", ("private", "public"), default="private")


def test_it_falls_back_to_the_default_of_an_empty_choice() -> None:
    assert env(" ").choice("NAME", ("private", "public"), default="private") == "private"


def test_it_splits_names_at_commas() -> None:
    assert env(" a.example, ,b.example,").names("NAME") == ["a.example", "b.example"]


def test_it_lets_an_empty_list_of_names_override_the_default() -> None:
    assert env("").names("NAME", ("localhost",)) == []


def test_it_says_how_to_make_a_missing_secret() -> None:
    with pytest.raises(ImproperlyConfigured, match=r"^NAME is not set\. Roll some dice\.$"):
        Env({}).secret("NAME", default=None, how_to_make="Roll some dice.")


def test_it_prefers_a_secret_that_is_set() -> None:
    assert env("hush").secret("NAME", default="other", how_to_make="") == "hush"


@pytest.mark.parametrize("value", ['"plain"', "'plain'", '""', "`plain`"])
def test_it_asks_for_a_text_without_quotes(value: str) -> None:
    with pytest.raises(ImproperlyConfigured, match=f"^NAME begins and ends with {value[0]}; allowed is the value"):
        env(value).text("NAME")


@pytest.mark.parametrize("value", ['"', "it's", 'a "quoted" word', ""])
def test_it_takes_quotes_within_a_text(value: str) -> None:
    assert env(value).text("NAME") == value


def test_it_takes_a_secret_as_it_is() -> None:
    assert env('"hush"').secret("NAME", default=None, how_to_make="") == '"hush"'


@pytest.mark.parametrize(
    ("value", "path"), [("data", "data"), ("./a/../data", "a/../data"), ("/srv/data", "/srv/data"), ("", "default")]
)
def test_it_begins_relative_folders_in_the_project(
    value: str, path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir("/")

    assert env(value).folder("NAME", tmp_path / "default", project=tmp_path) == tmp_path / path


def test_it_knows_the_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/ana")

    assert env("~/data").folder("NAME", tmp_path, project=tmp_path) == Path("/home/ana/data")


@pytest.mark.parametrize("value", ['"/srv/data"', "'data'", "$HOME/data", "~nobody-of-this-name/data", "a\0b"])
def test_it_names_what_is_no_folder(value: str, tmp_path: Path) -> None:
    with pytest.raises(ImproperlyConfigured) as refusal:
        env(value).folder("NAME", tmp_path, project=tmp_path)

    assert str(refusal.value).startswith(f"NAME is {value!r}; allowed is the path of a folder: absolute, with ~ ")


def test_it_refuses_a_file_in_place_of_a_folder(tmp_path: Path) -> None:
    (tmp_path / "data").touch()

    with pytest.raises(ImproperlyConfigured, match=r"^NAME is '.*data'; allowed is the path of a folder"):
        env("data").folder("NAME", tmp_path, project=tmp_path)


@pytest.mark.parametrize("value", ["127.0.0.1", "0.0.0.0", "::", "::1", "localhost", "my-host.example", "[::1]"])
def test_it_reads_an_address(value: str) -> None:
    assert env(value).address("NAME", "127.0.0.1") == value.strip("[]")


@pytest.mark.parametrize("value", ["", "http://localhost", "a b", "localhost/", '"localhost"'])
def test_it_names_what_is_no_address(value: str) -> None:
    with pytest.raises(ImproperlyConfigured) as refusal:
        env(value).address("NAME", "127.0.0.1")

    assert str(refusal.value).startswith(f"NAME is {value!r}; allowed is an address or host name of this machine")


def test_it_reads_a_port() -> None:
    assert (env(" 8080 ").port("NAME", "8000"), Env({}).port("NAME", "8000")) == (8080, 8000)


@pytest.mark.parametrize("value", ["", "0", "65536", "-1", "http", "8000.0", '"8000"'])
def test_it_names_what_is_no_port(value: str) -> None:
    with pytest.raises(ImproperlyConfigured) as refusal:
        env(value).port("NAME", "8000")

    assert str(refusal.value) == f"NAME is {value!r}; allowed is a whole number, at least 1, at most 65535."
