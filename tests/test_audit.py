import subprocess
import sys

import pytest
from audit import audit, report

SAFE = {"name": "numpy", "version": "2.0.0", "vulns": []}
VULNERABLE = {"name": "pillow", "version": "9.0.0", "vulns": [{"id": "PYSEC-1", "fix_versions": ["10.4.0"]}]}
UNKNOWN = {"name": "secret", "skip_reason": "Dependency not found on PyPI and could not be audited: secret (1.0)"}


def test_a_vulnerable_package_fails_and_is_named_with_the_version_that_mends_it(capsys):
    assert report([SAFE, VULNERABLE]) == 1
    said = capsys.readouterr()
    assert all(part in said.out for part in ("pillow", "9.0.0", "PYSEC-1", "10.4.0"))
    assert "2 packages asked about, 1 of them vulnerable" in said.err


def test_packages_that_are_safe_pass_and_those_that_nobody_knows_are_counted(capsys):
    assert report([SAFE, UNKNOWN]) == 0
    assert "1 packages asked about, 0 of them vulnerable; 1 are not in the index" in capsys.readouterr().err


def test_an_index_that_knows_nothing_is_not_taken_for_a_clean_bill(capsys):
    assert report([UNKNOWN]) == 0
    assert "Skipped" in capsys.readouterr().err


@pytest.mark.parametrize("written", ["", "[]", "{"])
def test_an_index_that_cannot_be_asked_is_named_as_the_reason(written, monkeypatch, capsys):
    done = subprocess.CompletedProcess([], 1, written, "requests.ConnectionError: no route to host\n")
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: done)
    if written == "[]":
        done.stdout = '{"fixes": []}'
    assert audit() == 0
    assert "Skipped: the index of vulnerabilities cannot be asked (requests.ConnectionError" in capsys.readouterr().err


def test_without_pip_audit_that_is_the_reason(capsys):
    if subprocess.run([sys.executable, "-c", "import pip_audit"], capture_output=True).returncode == 0:
        pytest.skip("pip-audit is installed")
    assert audit() == 0
    assert "No module named pip_audit" in capsys.readouterr().err
