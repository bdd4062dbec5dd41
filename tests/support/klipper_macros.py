"""Reads a file of Klipper macros as Klipper does and tries every one of them: argument 1 is the file."""

import configparser
import sys

import jinja2

config = configparser.RawConfigParser(strict=False, inline_comment_prefixes=(";", "#"))
assert config.read(sys.argv[1])
environment = jinja2.Environment("{%", "%}", "{", "}")
templates = {
    section: environment.from_string(config.get(section, "gcode"))
    for section in config.sections()
    if config.has_option(section, "gcode")
}
assert config.has_section("respond"), "RESPOND must be there"
for section in config.sections():
    kind, _, name = section.partition(" ")
    assert kind != "gcode_macro" or config.get(section, "description"), section
    assert kind != "gcode_macro" or name.upper() == name, section


def run(name, variables=None, **params):
    """The lines that a macro runs, and the calls it makes."""
    calls = []
    variables = {"here": 1, "waiting": 0} | (variables or {})

    def call(method, **arguments):
        calls.append((method, arguments))
        return ""

    text = templates[name].render(
        params=params, printer={"gcode_macro _STRANDWATCH": variables}, action_call_remote_method=call, **variables
    )
    return [line.strip() for line in text.splitlines() if line.strip()], calls


def arguments(**given):
    return [("strandwatch_command", {"minutes": "", "object": "", "incident": ""} | given)]


for word in ["STATUS", "ARM", "DISARM", "CONFIRM", "DISMISS"]:
    lines, _ = run(f"gcode_macro STRANDWATCH_{word}")
    assert lines == [f"_STRANDWATCH COMMAND={word.lower()}"], lines
assert run("gcode_macro STRANDWATCH_SNOOZE")[0] == ["_STRANDWATCH COMMAND=snooze MINUTES=30"]
assert run("gcode_macro STRANDWATCH_SNOOZE", MINUTES="45")[0] == ["_STRANDWATCH COMMAND=snooze MINUTES=45"]

lines, calls = run("gcode_macro _STRANDWATCH", COMMAND="snooze", MINUTES="45")
assert calls == arguments(command="snooze", minutes=45), calls
assert lines[0].endswith("VARIABLE=waiting VALUE=1") and lines[1].startswith("UPDATE_DELAYED_GCODE"), lines
_, calls = run("gcode_macro _STRANDWATCH", COMMAND="exclude_object", OBJECT="CUBE_1", INCIDENT="i1")
assert calls == arguments(command="exclude_object", object="CUBE_1", incident="i1"), calls

lines, calls = run("gcode_macro _STRANDWATCH", {"here": 0}, COMMAND="pause")
assert not calls and len(lines) == 1 and lines[0].startswith("RESPOND TYPE=error"), (lines, calls)
assert run("delayed_gcode _strandwatch_answer")[0] == ["_STRANDWATCH_ANSWER"]
assert run("gcode_macro _STRANDWATCH_ANSWER")[0] == []
lines, _ = run("gcode_macro _STRANDWATCH_ANSWER", {"waiting": 1})
assert [line.split()[0] for line in lines] == ["SET_GCODE_VARIABLE", "SET_GCODE_VARIABLE", "RESPOND"], lines
