"""How the certificates are called that are issued to be measured."""


def client_name(number: int) -> str:
    """Return the name of a client, as openssl.sh calls it too."""
    return f"client{number:06}"
