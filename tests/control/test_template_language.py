"""The language of templates: what it can, what it must not, and that its cost is bounded."""

from __future__ import annotations

from typing import Any

import pytest

from waypost.control.template_language import TemplateFault, needs_of, render
from waypost.control.templates import InvalidPart, MailTemplate


@pytest.mark.parametrize(
    ("source", "variables", "made"),
    [
        ("Hello {{ name }}", {"name": "Ann"}, "Hello Ann"),
        ("{{ a.b.c }}", {"a": {"b": {"c": 1}}}, "1"),
        ("{{ a['b'] }}{{ l[0] }}{{ l[-1] }}", {"a": {"b": "x"}, "l": ["y", "z"]}, "xyz"),
        ("{% if n > 1 and not gone %}a{% else %}b{% endif %}", {"n": 2, "gone": False}, "a"),
        ("{% for x in l %}{{ loop.index }}{{ x }}{% if not loop.last %},{% endif %}{% endfor %}",
         {"l": ["a", "b"]}, "1a,2b"),
        ("{% for k in o %}{{ k }}={{ o[k] }};{% endfor %}", {"o": {"a": 1, "b": 2}}, "a=1;b=2;"),
        ("{% for x in l %}{{ x }}{% else %}none{% endfor %}", {"l": []}, "none"),
        ("{{ x|default('nobody') }}", {}, "nobody"),
        ("{{ x|upper|truncate(3, true, '', 0) }}", {"x": "abcdef"}, "ABC"),
        ("{{ l|join(', ') }} {{ l|length }} {{ 'a b'|urlencode }}", {"l": ["a", 2]},
         "a, 2 2 a%20b"),
        ("{{ price|round(2) }}", {"price": 1.005}, "1.0"),
        ("{{ nothing }}", {"nothing": None}, ""),
    ],
)  # fmt: skip
def test_values_are_put_in(source: str, variables: dict[str, Any], made: str) -> None:
    assert render(source, variables, html=False) == made


def test_in_html_every_value_is_escaped() -> None:
    hostile = "<script>alert('x')</script>"
    for source in ("{{ x }}", "{{ x|upper|lower }}", "{{ [x]|join(x) }}", "{{ x|default(x) }}"):
        assert "<script>" not in render(source, {"x": hostile}, html=True)
    assert render("{{ x }}", {"x": hostile}, html=False) == hostile


@pytest.mark.parametrize(
    "source",
    [
        "{{ ''.__class__ }}", "{{ x.__init__.__globals__ }}", "{{ x['__class__'] }}",
        "{{ x.upper }}", "{{ loop }}", "{{ self }}", "{{ self._TemplateReference__context }}",
        "{% for a in [1] %}{{ loop }}{% endfor %}",
        "{{ x() }}", "{{ range(10) }}", "{{ cycler('a') }}", "{{ lipsum() }}", "{{ namespace() }}",
        "{% import 'a' as b %}", "{% include 'a' %}", "{% extends 'a' %}", "{% set a = 1 %}",
        "{% macro a() %}{% endmacro %}", "{% block a %}{% endblock %}",
        "{% call a() %}{% endcall %}",
        "{% filter upper %}{% endfilter %}", "{% with a = 1 %}{% endwith %}", "{{ x|safe }}",
        "{{ x|attr('upper') }}", "{{ x|map('upper') }}", "{{ 'a' * 1000000000 }}",
        "{{ 2 ** 1000 }}",
        "{{ 'a' ~ 'b' }}", "{{ '%1000000000d' % 1 }}", "{{ x|format }}", "{{ x|replace('', x) }}",
        "{% for a in l recursive %}{{ loop(l) }}{% endfor %}", "{{ x|pprint }}", "{{ x|tojson }}",
        "{{ x", "{% if %}", "{% for %}", "{% endfor %}", "{{ (steps) }}",
        "{{ x is callable }}", "{{ x|wordwrap(1) }}", "{{ x|center(1000000000) }}",
        "{{ x|indent(1000000000) }}",
    ],
)  # fmt: skip
def test_nothing_else_is_part_of_the_language(source: str) -> None:
    with pytest.raises(TemplateFault):
        render(source, {"x": "text", "l": []}, html=False)


@pytest.mark.parametrize(
    ("source", "variables"),
    [
        ("{% for a in l %}{% for b in l %}{% endfor %}{% endfor %}", {"l": [1] * 1000}),
        ("{% for a in l %}{{ t|upper }}{% endfor %}", {"l": [1] * 5000, "t": "x" * 100_000}),
        ("{{ t }}" * 100, {"t": "x" * 100_000}),
        ("{{ l|join(t) }}", {"l": [1] * 1000, "t": "x" * 100_000}),
        ("{{" + "(" * 10_000 + "1" + ")" * 10_000 + "}}", {}),
        ("{{ a" + ".b" * 20_000 + " }}", {"a": {}}),
        ("{% if a %}" * 100 + "{% endif %}" * 100, {"a": 1}),
        ("{{ a }}" * 10_000, {"a": 1}),
        ("{{ 1 if a else " * 3000 + "1" + " }}", {"a": 1}),
        ("{{ not " * 1 + "not " * 20_000 + "a }}", {"a": 1}),
        ("{{ a|length }}", {"a": 5}),
        ("{{ a|round(99999999) }}", {"a": 1.5}),
        ("{% for a in t %}{{ a }}{% endfor %}", {"t": "text"}),
        ("{{ o }}", {"o": {"a": 1}}),
        ("{{ a < b }}", {"a": 1, "b": "x"}),
    ],
    ids=range(15),
)
def test_what_costs_too_much_or_does_not_fit_is_told(
    source: str, variables: dict[str, Any]
) -> None:
    with pytest.raises(TemplateFault):
        render(source, variables, html=True)


def test_a_template_knows_what_it_needs() -> None:
    needs = needs_of(
        "{{ name }}{% for item in items %}{{ item.title }}{{ loop.index }}{% endfor %}"
        "{{ nick|default('') }}{% if code is defined %}{{ code }}{% endif %}"
    )
    assert needs.required == {"name", "items"}
    assert needs.optional == {"nick", "code"}


def test_a_fault_names_its_part_and_line() -> None:
    template = MailTemplate("welcome", "Hi", "line one\n{{ name(1) }}", None)
    with pytest.raises(InvalidPart, match="line 2") as fault:
        template.needs()
    assert fault.value.part == "text"


def test_variables_are_checked_before_anything_is_made() -> None:
    template = MailTemplate("welcome", "Hi {{ name }}", "{{ nick|default('') }}", None)
    with pytest.raises(InvalidPart, match="not given: name"):
        template.rendered({})
    with pytest.raises(InvalidPart, match="not in the template welcome: nmae"):
        template.rendered({"name": "Ann", "nmae": "Ann"})
    with pytest.raises(InvalidPart, match="characters together"):
        template.rendered({"name": "x" * 1_000_000})
    assert template.rendered({"name": "Ann"}).subject == "Hi Ann"


@pytest.mark.parametrize(
    "inner",
    [
        "{% if big|join == 'x' %}{% endif %}", "{% if 'b' in big %}{% endif %}",
        "{% if big == same %}{% endif %}", "{% if [big] == [same] %}{% endif %}",
        "{% if 'ab' in long %}{% endif %}",
    ],
)  # fmt: skip
def test_looking_through_lists_and_texts_in_a_loop_counts(inner: str) -> None:
    values = {"l": [0] * 2000, "big": [""] * 1000, "same": [""] * 1000, "long": "a" * 20_000}
    with pytest.raises(TemplateFault, match="steps"):
        render(f"{{% for x in l %}}{inner}{{% endfor %}}", values, html=False)


def test_a_number_beyond_all_numbers_is_refused_when_the_template_is_stored() -> None:
    with pytest.raises(TemplateFault, match="too large"):
        needs_of("{{ 1e999 }}")
