import pytest
from app_client import HOME, client_of


def test_a_body_that_does_not_say_how_long_it_is_is_read_only_so_far(client):
    def body():
        yield b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\n\r\n'
        for _ in range(50):
            yield bytes(100_000)

    response = client.post("/predict", content=body(), headers={"content-type": "multipart/form-data; boundary=x"})
    assert response.status_code == 413 and "larger than 3 MB" in response.json()["detail"]


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "", "192.168.0.7:8000"])
def test_a_name_that_leads_here_from_elsewhere_is_turned_away(client, host):
    assert client.get("/health", headers={"host": host}).status_code == 403


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://127.0.0.1:9999", "http://["])
def test_another_page_cannot_ask_in_the_users_name(client, clip, origin):
    with clip.open("rb") as file:
        response = client.post("/predict", files={"file": file}, headers={"origin": origin})
    assert response.status_code == 403


def test_our_own_page_may_ask(client, clip):
    with clip.open("rb") as file:
        assert client.post("/predict", files={"file": file}, headers={"origin": HOME}).status_code == 200


@pytest.fixture
def open_client(app_settings):
    """A page that is open to other machines."""
    with client_of(app_settings, address="http://lab.example", host="0.0.0.0", token="a-good-token") as client:
        yield client


def test_other_machines_need_the_token(open_client, clip):
    assert open_client.get("/health").status_code == 200
    for headers in ({}, {"authorization": "Bearer wrong"}, {"cookie": "audionet_token=wrong"}):
        assert open_client.get("/", headers=headers).status_code == 401
        with clip.open("rb") as file:
            assert open_client.post("/predict", files={"file": file}, headers=headers).status_code == 401
    with clip.open("rb") as file:
        headers = {"authorization": "Bearer a-good-token"}
        assert open_client.post("/predict", files={"file": file}, headers=headers).json()["nearest"] == "bob"


def test_the_token_in_the_address_is_kept_in_a_cookie_and_taken_out_of_the_address(open_client):
    arrived = open_client.get("/teach?token=a-good-token")
    assert arrived.status_code == 200 and "token" not in str(arrived.url)
    assert open_client.get("/").status_code == 200


def test_nobody_is_led_to_another_site_by_the_token(open_client):
    answer = open_client.get("http://lab.example//evil.example/?token=a-good-token", follow_redirects=False)
    assert answer.headers["location"] == "/evil.example/"


@pytest.mark.parametrize(
    "path", ["/", "/health", "/examples/0", "/openapi.json", "/static/page.css", "/predict", "/nowhere"]
)
def test_head_is_answered_as_get_is_but_without_the_body(client, path):
    got, head = client.get(path), client.head(path)
    assert (head.status_code, head.content) == (got.status_code, b"")
    for name in ("content-type", "content-length", "content-security-policy"):
        assert head.headers[name] == got.headers[name]
