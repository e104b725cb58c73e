from xml.etree import ElementTree

from atlas_scaling.report.svg import for_page

HEAD = '<svg xmlns="http://www.w3.org/2000/svg" width="100" height="50" viewBox="0 0 100 50">'


def cleaned(inside: str) -> str:
    return for_page(f"{HEAD}{inside}</svg>", prefix="p-", label='a "label" <b>')


def test_scripts_links_and_handlers_do_not_pass():
    hostile = (
        "<script>alert(1)</script><foreignObject><b/></foreignObject><image href='x'/>"
        "<a href='javascript:x'><path d='M0,0' fill='red'/></a>"
        "<path d='M1,1' fill='#fff' onclick='x()' style='fill:url(http://x)' href='http://x'/>"
    )
    out = cleaned(hostile)
    for word in ("script", "foreignObject", "image", "href", "onclick", "style", "http"):
        assert word not in out
    assert 'd="M1,1"' in out


def test_text_stays_text():
    out = cleaned("<text fill='#000'>&lt;script&gt;alert(1)&lt;/script&gt;</text>")
    assert "<script" not in out
    assert ElementTree.fromstring(out)[0].text == "<script>alert(1)</script>"


def test_the_picture_has_one_label_and_marks_have_tips():
    out = ElementTree.fromstring(
        cleaned(
            "<path aria-label='x: 1 &amp; y' aria-roledescription='point' d='M0,0' fill='#000'/>"
        )
    )
    assert out.attrib["role"] == "img"
    assert out.attrib["aria-label"] == 'a "label" <b>'
    assert out[0].attrib["data-tip"] == "x: 1 & y"
    assert "aria-label" not in out[0].attrib


def test_ids_of_two_pictures_do_not_meet():
    out = cleaned(
        "<defs><clipPath id='clip0'><rect width='1' height='1'/></clipPath></defs>"
        "<g clip-path='url(#clip0)'><path d='M0,0' fill='#000'/></g>"
    )
    assert 'id="p-clip0"' in out
    assert 'clip-path="url(#p-clip0)"' in out


def test_coordinates_are_rounded_and_nothing_else_is():
    out = cleaned(
        "<path d='M1.23456,-0.00001L2.5e-05,7' fill='#000' stroke-width='0.123'/>"
        "<text transform='translate(1.05,2.349999)' fill='#000'>3.14159</text>"
    )
    assert 'd="M1.2,-0L0,7"' in out
    assert "translate(1,2.3)" in out or "translate(1.1,2.3)" in out
    assert 'stroke-width="0.123"' in out
    assert ">3.14159<" in out


def test_what_cannot_be_seen_is_left_out():
    out = cleaned("<g><path class='background' d='M0,0h9'/></g><path d='' fill='#000'/><g/>")
    assert "<path" not in out
    assert "<g" not in out
