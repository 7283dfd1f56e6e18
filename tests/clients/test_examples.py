"""The examples: those that need no GPU run; the others are checked for syntax and names."""

import configparser
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml

from clients import claude_code, npm, play
from clients.program import environment
from support.server import Server
from vllm_messages_plugin.settings import Settings

EXAMPLES = Path(__file__).parents[2] / "examples"
FILES = [path for path in sorted(EXAMPLES.rglob("*")) if path.is_file() and path.name != "README.md"]
TYPESCRIPT_SDK = "@anthropic-ai/sdk@1.14.0"
PORTS = {"redis": "redis", "postgres": "postgres"}
WORKLOADS = ("Deployment", "StatefulSet")
MANIFESTS = sorted((EXAMPLES / "kubernetes").glob("*.yaml"))


def example(command: Iterable[str | Path], server: Server, **variables: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [str(part) for part in command],
        env=environment(server) | variables,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=180,
    )


def printed(command: Iterable[str | Path], server: Server, **variables: str) -> str:
    done = example(command, server, **variables)
    assert done.returncode == 0, done.stderr
    return done.stdout


def python_example(name: str) -> list[str | Path]:
    return [sys.executable, EXAMPLES / name]


def test_the_quick_start_streams_an_answer(server: Server) -> None:
    with server.playbook([{"when": "capital of France", "say": "Paris, of course."}]):
        shown = printed(python_example("quickstart.py"), server)
    assert shown.startswith("Paris, of course.\n[tiny: ")
    assert "end_turn]" in shown


def test_without_a_model_the_quick_start_asks_the_server_for_one(server: Server) -> None:
    with server.playbook([{"when": "ripe plums", "say": "In August."}]):
        shown = printed([*python_example("quickstart.py"), "When", "are", "ripe plums?"], server, MODEL="")
    assert shown.startswith("In August.\n[tiny: ")


def test_the_quick_start_in_javascript_streams_an_answer(server: Server, tmp_path: Path) -> None:
    program = npm.program(EXAMPLES / "quickstart.mjs", tmp_path, TYPESCRIPT_SDK)
    with server.playbook([{"when": "capital of France", "say": "Paris, of course."}]):
        shown = printed(["node", program], server)
    assert shown.startswith("Paris, of course.\n[tiny: ")


TOURIST = [
    {"when": "21 degrees", "say": "Yes, 21 degrees."},
    {"when": "<tool_response>.*Paris", "say": play.call("get_weather", city="Paris")},
    {"when": "Eiffel Tower stands", "say": play.call("find_place", name="Eiffel Tower")},
]


def test_the_tools_are_called_one_after_the_other(server: Server) -> None:
    with server.playbook(TOURIST):
        lines = printed(python_example("tools.py"), server).splitlines()
    assert [line for line in lines if line.startswith("->")] == [
        "-> find_place({'name': 'Eiffel Tower'})",
        "-> get_weather({'city': 'Paris'})",
    ]
    assert lines[-1] == "Yes, 21 degrees."


def test_the_tools_in_javascript_are_called_one_after_the_other(server: Server, tmp_path: Path) -> None:
    program = npm.program(EXAMPLES / "tools.mjs", tmp_path, TYPESCRIPT_SDK)
    with server.playbook(TOURIST):
        lines = printed(["node", program], server).splitlines()
    assert lines == [
        '-> find_place({"name":"Eiffel Tower"})',
        '-> get_weather({"city":"Paris"})',
        "Yes, 21 degrees.",
    ]


GEOGRAPHER = [
    {"when": "capital of France", "say": "It is Paris."},
    {"when": "capital of Peru", "say": "It is Quito."},
    {"when": "17 . 25", "say": "42"},
]
GRADES = ["right\tcapital-1", "right\tsum-1", "2 of 3 right"]


def test_the_nightly_evaluation_grades_the_results_of_a_batch(server: Server) -> None:
    with server.playbook(GEOGRAPHER):
        lines = printed(python_example("nightly_evaluation.py"), server, POLL_SECONDS="0.2").splitlines()
    assert lines == [GRADES[0], "wrong ('It is Quito.')\tcapital-2", *GRADES[1:]]


def test_the_nightly_evaluation_in_javascript_grades_the_same(server: Server, tmp_path: Path) -> None:
    program = npm.program(EXAMPLES / "nightly_evaluation.mjs", tmp_path, TYPESCRIPT_SDK)
    with server.playbook(GEOGRAPHER):
        lines = printed(["node", program], server, POLL_SECONDS="0.2").splitlines()
    assert lines == [GRADES[0], 'wrong ("It is Quito.")\tcapital-2', *GRADES[1:]]


def test_thinking_is_shown_in_grey_and_sent_back(server: Server) -> None:
    thought = "<think>\nLetter by letter.\n</think>\n\n"
    rules = [
        {"when": "Three.*Are you sure", "say": thought + "Quite sure."},
        {"when": "strawberry", "say": thought + "Three."},
    ]
    with server.playbook(rules):
        shown = printed(python_example("thinking.py"), server)
    grey = "".join(re.findall(r"\033\[90m(.*?)\033\[0m", shown, re.DOTALL))
    assert grey.count("Letter by letter.") == 2
    assert "Three." in shown
    assert shown.endswith("Quite sure.\n")


@pytest.mark.smollm2
def test_a_real_model_answers_with_an_object(smollm2_server: Server) -> None:
    shown = printed(python_example("structured_output.py"), smollm2_server)
    assert re.fullmatch(r"[1-4] x (small|large) (coffee|tea|cocoa)\n", shown)


def test_a_text_model_refuses_an_image_with_a_reason(server: Server) -> None:
    done = example(python_example("vision.py"), server)
    assert done.returncode == 1
    assert "tiny did not take the picture: messages.0.content.0: Could not process image" in done.stderr


def test_claude_code_starts_on_the_server(server: Server, tmp_path: Path) -> None:
    (tmp_path / "claude").symlink_to(claude_code.program())
    variables = {
        "PATH": f"{tmp_path}:{os.environ['PATH']}",
        "HOME": str(tmp_path),
        "WINDOW": str(server.window),
        "ANTHROPIC_AUTH_TOKEN": "x",
    }
    script = EXAMPLES / "claude_code.sh"
    with server.playbook([{"when": "ripe plums", "say": "In August."}]):
        assert printed([script, "-p", "When are ripe plums?"], server, **variables) == "In August.\n"


def test_claude_code_is_not_started_without_a_model(server: Server) -> None:
    done = example([EXAMPLES / "claude_code.sh"], server, MODEL="")
    assert done.returncode != 0
    assert "which model?" in done.stderr


def test_the_index_names_every_example() -> None:
    index = (EXAMPLES / "README.md").read_text(encoding="utf-8")
    linked = set(re.findall(r"^\| \[[^]]+\]\(([^)]+)\) \|", index, re.MULTILINE))
    assert linked == {str(path.relative_to(EXAMPLES)) for path in FILES}


def test_every_setting_named_in_an_example_exists() -> None:
    known = {f"VLLM_MESSAGES_{name.upper()}" for name in Settings.model_fields}
    for path in FILES:
        assert set(re.findall(r"VLLM_MESSAGES_\w+", path.read_text(encoding="utf-8"))) <= known, path


def documents(path: Path) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all(path.read_text(encoding="utf-8")))


def containers(path: Path) -> list[dict[str, Any]]:
    specs = [doc["spec"]["template"]["spec"] for doc in documents(path) if doc["kind"] in WORKLOADS]
    return [container for spec in specs for container in spec["containers"]]


@pytest.mark.parametrize("path", MANIFESTS, ids=lambda path: path.name)
def test_a_manifest_is_complete(path: Path) -> None:
    for document in documents(path):
        assert {"apiVersion", "kind", "metadata"} <= document.keys()
        assert document["metadata"]["name"]


@pytest.mark.parametrize("path", MANIFESTS, ids=lambda path: path.name)
def test_selectors_and_ports_of_a_manifest_meet_their_pods(path: Path) -> None:
    pods, ports = [], set()
    for deployment in (doc for doc in documents(path) if doc["kind"] in WORKLOADS):
        labels = deployment["spec"]["template"]["metadata"]["labels"]
        assert deployment["spec"]["selector"]["matchLabels"] == labels
        pods.append(labels)
        ports |= {
            port["name"] for c in deployment["spec"]["template"]["spec"]["containers"] for port in c["ports"]
        }
    for service in (doc for doc in documents(path) if doc["kind"] == "Service"):
        assert service["spec"]["selector"] in pods
        assert all(port["targetPort"] in ports for port in service["spec"]["ports"])


@pytest.mark.parametrize("path", MANIFESTS, ids=lambda path: path.name)
def test_every_container_has_an_image_a_port_and_mounts_that_exist(path: Path) -> None:
    for deployment in (doc for doc in documents(path) if doc["kind"] in WORKLOADS):
        pod = deployment["spec"]["template"]["spec"]
        volumes = {volume["name"] for volume in pod.get("volumes", ())}
        volumes |= {claim["metadata"]["name"] for claim in deployment["spec"].get("volumeClaimTemplates", ())}
        for container in pod["containers"]:
            assert ":" in container["image"]
            assert [port["name"] for port in container["ports"]] == [PORTS.get(container["name"], "http")]
            assert {mount["name"] for mount in container.get("volumeMounts", ())} == volumes
            assert all(isinstance(argument, str) for argument in container.get("args", ()))


def test_all_replicas_share_the_signature_key() -> None:
    served = [c for path in MANIFESTS for c in containers(path) if c["name"] == "vllm"]
    assert len(served) == len(MANIFESTS)
    for container in served:
        assert "VLLM_MESSAGES_SIGNATURE_KEY" in [variable["name"] for variable in container["env"]]


def test_the_compose_file_builds_the_dockerfile_beside_it() -> None:
    (compose,) = documents(EXAMPLES / "docker" / "compose.yaml")
    (service,) = compose["services"].values()
    assert (EXAMPLES / "docker" / service["build"] / "Dockerfile").exists()
    named = {volume.split(":")[0] for volume in service["volumes"]}
    assert named == set(compose["volumes"])
    assert service["deploy"]["resources"]["reservations"]["devices"][0]["capabilities"] == ["gpu"]


def test_the_search_example_names_a_service_that_answers_in_json() -> None:
    (compose,) = documents(EXAMPLES / "docker" / "compose.search.yaml")
    name, _, url = compose["services"]["vllm"]["environment"]["VLLM_MESSAGES_SEARCH"].partition(":")
    assert (name, urlsplit(url).hostname) == ("searxng", "searxng")
    mounted, target, _ = compose["services"]["searxng"]["volumes"][0].split(":")
    assert target == "/etc/searxng/settings.yml"
    (settings,) = documents(EXAMPLES / "docker" / mounted)
    assert "json" in settings["search"]["formats"]


def test_claude_code_in_compose_uses_the_server_and_the_script_of_the_examples() -> None:
    (base,), (compose,) = (
        documents(EXAMPLES / "docker" / name) for name in ("compose.yaml", "compose.search.yaml")
    )
    service, server = compose["services"]["claude"], base["services"]["vllm"]
    mounted, target, _ = service["volumes"][0].split(":")
    script = (EXAMPLES / "docker" / mounted).read_text(encoding="utf-8")
    assert service["entrypoint"] == ["bash", target]
    assert all(f"${{{name}:" in script for name in service["environment"])
    assert urlsplit(service["environment"]["ANTHROPIC_BASE_URL"]).hostname in base["services"]
    assert f"--served-model-name={service['environment']['MODEL']}" in server["command"]
    assert f"--max-model-len={service['environment']['WINDOW']}" in server["command"]
    text = (EXAMPLES / "docker" / service["build"]["dockerfile"]).read_text(encoding="utf-8")
    assert dict(instructions(text))["ARG"] == f"CLAUDE_CODE_VERSION={claude_code.VERSION}"


def instructions(text: str) -> list[tuple[str, str]]:
    """Each instruction of a Dockerfile with its argument, continued lines joined."""
    joined = re.sub(r"\\\n\s*", "", re.sub(r"^\s*#.*\n", "", text, flags=re.MULTILINE))
    return [tuple(line.split(maxsplit=1)) for line in joined.splitlines() if line.strip()]


def test_the_dockerfile_adds_the_plugin_to_vllms_image() -> None:
    found = instructions((EXAMPLES / "docker" / "Dockerfile").read_text(encoding="utf-8"))
    assert [name for name, _ in found] == ["ARG", "FROM", "ARG", "RUN", "HEALTHCHECK"]
    arguments = dict(found)
    assert found[0] == ("ARG", "VLLM_IMAGE=vllm/vllm-openai:v0.32.0")
    assert arguments["FROM"] == "${VLLM_IMAGE}"
    assert found[2][1].startswith("PLUGIN=vllm-messages-plugin==")
    assert json.loads(arguments["HEALTHCHECK"].split("CMD", 1)[1])[0] == "curl"
    assert shlex.split(arguments["RUN"])[:3] == ["uv", "pip", "install"]


def test_the_unit_starts_vllm_and_holds_no_key() -> None:
    text = (EXAMPLES / "systemd" / "vllm-messages.service").read_text(encoding="utf-8")
    unit = configparser.RawConfigParser(strict=False, comment_prefixes=("#",))
    unit.optionxform = str
    unit.read_string(text.replace("\\\n", ""))
    assert unit.sections() == ["Unit", "Service", "Install"]
    command = shlex.split(unit["Service"]["ExecStart"])
    assert command[0].startswith("/")
    assert command[1] == "serve"
    assert unit["Install"]["WantedBy"] == "multi-user.target"
    assert not re.search(r"^Environment=.*KEY", text, re.MULTILINE)


def test_the_unit_is_what_systemd_takes(tmp_path: Path) -> None:
    verifier = shutil.which("systemd-analyze")
    if verifier is None:
        pytest.skip("there is no systemd-analyze")
    text = (EXAMPLES / "systemd" / "vllm-messages.service").read_text(encoding="utf-8")
    unit = tmp_path / "vllm-messages.service"
    unit.write_text(text.replace("/var/lib/vllm/venv/bin/vllm", "/bin/true"), encoding="utf-8")
    done = subprocess.run([verifier, "verify", str(unit)], capture_output=True, text=True, timeout=60)
    assert "vllm-messages.service:" not in done.stderr
