"""Who may talk to the dashboard, and what it may read and write."""

import json
from urllib.parse import unquote

import httpx
import pytest

from atlas_scaling.errors import InputError
from atlas_scaling.web.security import Access, host_name, is_loopback
from tests.web.conftest import MAX_UPLOAD, served

TOKEN = "a-token-of-24-characters"
PLAN = {"targets": ["ca"], "flops": 1e20}


@pytest.fixture(scope="module")
def guarded(study, tmp_path_factory):
    """A server as it listens beyond the loopback interface: with a token."""
    from atlas_scaling.web.session import Session
    from atlas_scaling.web.workspace import Workspace

    folder = tmp_path_factory.mktemp("guarded")
    session = Session.open(Workspace([study], saves_to=folder / "s", scratch=folder), workers=1)
    access = Access(host="0.0.0.0", token=TOKEN, names=frozenset({"node7"}))
    with served(session, access) as address:
        yield address


def test_a_name_that_is_not_this_servers_is_refused(address):
    answer = httpx.get(f"{address}/api/session", headers={"host": "attacker.example:8765"})
    assert answer.status_code == 400
    assert answer.json()["value"] == "'attacker.example:8765'"
    assert "atlas serve" in answer.json()["remedy"]


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1:9", "[::1]:80", "LOCALHOST:1234"])
def test_loopback_names_pass_whatever_port_a_tunnel_gives_them(address, host):
    assert httpx.get(f"{address}/api/session", headers={"host": host}).status_code == 200


def test_another_address_is_not_a_loopback_name(address):
    answer = httpx.get(f"{address}/api/session", headers={"host": "10.0.0.1"})
    assert answer.status_code == 400


@pytest.mark.parametrize("origin", ["https://attacker.example", "null", "http://127.0.0.1:1"])
def test_writes_from_another_origin_are_refused(address, origin):
    answer = httpx.post(f"{address}/api/plan/allocate", json=PLAN, headers={"origin": origin})
    assert answer.status_code == 403
    assert answer.json()["where"] == "Origin"


def test_writes_from_the_page_itself_and_from_programs_pass(address):
    for headers in ({"origin": address}, {}):
        answer = httpx.post(f"{address}/api/plan/allocate", json=PLAN, headers=headers)
        assert answer.status_code == 200


def test_reads_that_a_browser_calls_cross_site_are_refused(address):
    headers = {"sec-fetch-site": "cross-site"}
    assert httpx.get(f"{address}/api/session", headers=headers).status_code == 403


def test_a_form_cannot_be_sent_to_the_api(address):
    """Browsers send forms across sites without asking; the API takes JSON alone."""
    answer = httpx.post(f"{address}/api/plan/allocate", data={"targets": "ca"})
    assert answer.status_code in (400, 415, 422)


@pytest.mark.parametrize("path", ["/", "/js/main.js", "/theme.css", "/api/session", "/api/nothing"])
def test_every_answer_carries_the_policy(address, path):
    headers = httpx.get(address + path).headers
    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "'unsafe" not in policy
    assert "http" not in policy
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["x-frame-options"] == "DENY"
    assert headers["referrer-policy"] == "same-origin"


def test_answers_with_files_of_the_user_are_not_kept_by_caches(address):
    assert "no-cache" in httpx.get(f"{address}/js/main.js").headers["cache-control"]
    again = httpx.get(f"{address}/js/main.js")
    same = httpx.get(f"{address}/js/main.js", headers={"if-none-match": again.headers["etag"]})
    assert same.status_code == 304


def test_beyond_this_machine_a_token_is_asked_for(guarded):
    answer = httpx.get(f"{guarded}/api/session")
    assert answer.status_code == 401
    assert "Bearer" in answer.json()["remedy"]
    wrong = httpx.get(f"{guarded}/api/session", headers={"authorization": "Bearer " + "x" * 24})
    assert wrong.status_code == 401
    right = httpx.get(f"{guarded}/api/session", headers={"authorization": f"Bearer {TOKEN}"})
    assert right.status_code == 200


def test_the_link_with_the_token_sets_a_cookie_and_forgets_the_token(guarded):
    with httpx.Client() as client:
        first = client.get(f"{guarded}/?token={TOKEN}&x=1")
        assert first.status_code == 303
        assert first.headers["location"] == "/?x=1"
        cookie = first.headers["set-cookie"]
        assert "HttpOnly" in cookie
        assert "SameSite=Lax" in cookie  # Strict would ask whoever follows a link in a mail again
        assert client.get(f"{guarded}/api/session").status_code == 200


def test_the_page_without_a_token_asks_for_it_and_takes_it(guarded):
    page = httpx.get(guarded)
    assert page.status_code == 401
    assert '<form method="post"' in page.text
    wrong = httpx.post(guarded, data={"token": "no"})
    assert wrong.status_code == 401
    assert "not the token" in wrong.text
    right = httpx.post(guarded, data={"token": TOKEN})
    assert right.status_code == 303
    assert right.headers["location"] == "/"


@pytest.mark.parametrize("host", ["localhost:abc", "localhost:", "[::1]", "localhost:99999999"])
def test_a_strange_port_is_no_failure(guarded, host):
    answer = httpx.get(f"{guarded}/?token={TOKEN}", headers={"host": host})
    assert answer.status_code == 303
    name, _, value = answer.headers["set-cookie"].partition(";")[0].partition("=")
    cookie = {"cookie": f"{name}={value}", "host": host}
    assert httpx.get(f"{guarded}/api/session", headers=cookie).status_code == 200


@pytest.mark.parametrize("path", ["/theme.css", "/css/base.css", "/css/parts.css", "/icon.svg"])
def test_without_a_token_only_the_looks_of_that_page_are_given(guarded, path):
    assert httpx.get(guarded + path).status_code == 200
    for other in ("/index.html", "/js/main.js", f"{path}/../../api/session", "/api/openapi.json"):
        assert httpx.get(guarded + other).status_code == 401


def test_a_ticket_opens_the_page_once(session_on):
    """The browser is started with it: others can read its arguments, too late."""
    access = Access(token=TOKEN, ticket="a-ticket-of-24-characters")
    with served(session_on(), access) as address:
        first = httpx.get(f"{address}/?token={access.ticket}")
        assert first.status_code == 303
        assert f"={TOKEN};" in first.headers["set-cookie"]
        again = httpx.get(f"{address}/?token={access.ticket}")
        assert again.status_code == 401
        assert "opens it once" in again.text
        assert httpx.get(f"{address}/?token={TOKEN}").status_code == 303


def test_two_dashboards_of_one_machine_keep_their_cookies_apart(guarded, session_on):
    other_token = "another-token-of-26-letters"
    with served(session_on(), Access(token=other_token)) as other, httpx.Client() as browser:
        browser.get(f"{guarded}/?token={TOKEN}")
        browser.get(f"{other}/?token={other_token}")
        for address in (guarded, other):
            assert browser.get(f"{address}/api/session").status_code == 200


def test_a_link_cannot_lead_elsewhere(guarded):
    answer = httpx.get(f"{guarded}//other.example/x?token={TOKEN}")
    assert answer.headers["location"] == "/other.example/x"


@pytest.mark.parametrize("path", ["%0D%0AX-Own:%201", "%E4%B8%AD", "a%20b%3Fc"])
def test_a_path_of_a_link_stays_a_path_and_never_becomes_a_header(guarded, path):
    answer = httpx.get(f"{guarded}/{path}?token={TOKEN}")
    assert answer.status_code == 303
    assert "x-own" not in answer.headers
    assert answer.headers["location"].isascii()
    assert unquote(answer.headers["location"]) == unquote(f"/{path}")


def test_beyond_this_machine_its_names_and_addresses_pass_and_others_do_not(guarded):
    headers = {"authorization": f"Bearer {TOKEN}"}
    for host, status in (("node7:80", 200), ("10.1.2.3", 200), ("attacker.example", 400)):
        got = httpx.get(f"{guarded}/api/session", headers={**headers, "host": host})
        assert got.status_code == status, host


def test_listening_beyond_this_machine_without_a_token_is_refused():
    with pytest.raises(InputError, match="needs a token"):
        Access(host="0.0.0.0")
    with pytest.raises(InputError, match="16 to 200 letters") as refused:
        Access(host="0.0.0.0", token="hunter2")
    assert "hunter2" not in str(refused.value)


def test_loopback_is_told_from_the_rest():
    assert all(is_loopback(host) for host in ("localhost", "127.0.0.1", "127.8.8.8", "::1"))
    assert not any(is_loopback(host) for host in ("0.0.0.0", "::", "192.168.0.1", "example.org"))
    assert host_name("[::1]:80") == "::1"


TRAVERSALS = [
    "../study",
    "..%2f..%2fetc%2fpasswd",
    "/etc/passwd",
    "....//....//etc/passwd",
    "%2e%2e/%2e%2e/etc/passwd",
    "..\\..\\windows",
    "swe_Latn-atlas.json",
    "fits/swe_Latn-atlas",
]


@pytest.mark.parametrize("name", TRAVERSALS)
def test_no_path_reaches_a_file(address, name):
    for path in (f"/{name}", f"/js/{name}", f"/api/fits/{name}", f"/api/transfer/matrices/{name}"):
        answer = httpx.get(address + path)
        assert answer.status_code in (400, 404, 422), path
        assert "root:" not in answer.text


@pytest.mark.parametrize(
    "name", ["../x", "a/b", ".hidden", "", "x" * 200, "a\x00b", "con:aux", "ä"]
)
def test_saving_takes_a_plain_name_only(address, name):
    answer = httpx.post(f"{address}/api/fits/swe_Latn-atlas/save", json={"name": name})
    assert answer.status_code == 422
    assert answer.json()["where"] == "name"


def test_saving_overwrites_nothing(session_on, study, tmp_path):
    session = session_on(study)
    path = session.files.save_fit("swe_Latn-atlas", "kept")
    assert path.parent == tmp_path / "saved"
    before = path.read_bytes()
    with pytest.raises(InputError, match="a file of that name already"):
        session.files.save_fit("dan_Latn-atlas", "kept")
    assert path.read_bytes() == before


def test_a_saved_link_that_leads_outside_is_not_written_through(session_on, study, tmp_path):
    session = session_on(study)
    outside = tmp_path / "outside.json"
    (tmp_path / "saved").mkdir()
    (tmp_path / "saved" / "kept.json").symlink_to(outside)
    with pytest.raises(InputError):
        session.files.save_fit("swe_Latn-atlas", "kept")
    assert not outside.exists()


def test_uploads_are_bounded_and_the_limit_is_said(address):
    body = b"x" * (MAX_UPLOAD + 1)
    headers = {"content-type": "application/octet-stream"}
    stated = httpx.post(f"{address}/api/uploads?name=big.csv", content=body, headers=headers)
    assert stated.status_code == 413
    assert "3 MB" in stated.json()["problem"]

    def unstated():
        for _ in range(40):
            yield b"y" * 100_000

    chunked = httpx.post(f"{address}/api/uploads?name=big.csv", content=unstated(), headers=headers)
    assert chunked.status_code == 413


def test_other_requests_are_bounded_too(address):
    body = json.dumps({"targets": ["ca"] * 900_000})
    headers = {"content-type": "application/json"}
    answer = httpx.post(f"{address}/api/plan/allocate", content=body, headers=headers)
    assert answer.status_code == 413

    def unstated():
        yield b'{"targets": ["'
        for _ in range(40):
            yield b"a" * 100_000

    chunked = httpx.post(f"{address}/api/plan/allocate", content=unstated(), headers=headers)
    assert chunked.status_code == 413
