from atlas_scaling.study.pages import parse_help, parse_page

MALLARD = """<?xml version="1.0"?>
<page xmlns="http://projectmallard.org/1.0/" id="a11y" xml:lang="sv">
  <info><credit><name>A Writer</name></credit><desc>Om.</desc>{credits}</info>
  <title>Hjälpmedel</title>
  <comment><p>Not for readers.</p></comment>
  <section id="s"><p>Systemet har <gui>Orca</gui>
     &amp; annat.</p>
  <steps><item><p>Tryck <keyseq><key>Super</key><key>S</key></keyseq>.</p></item></steps></section>
</page>"""

DOCBOOK = """<html><head><title>1.3. Hur</title></head><body>
<ul class="docnav top"><li><a><strong>Nästa</strong>1.4. Följ</a></li></ul>
<h2 class="title"><a id="x"></a>1.3. Hur</h2><!-- no <p>text</p> -->
<div class="para">\n\tDet finns <em>mycket</em>
 arbete. <div class="url">Se där</div></div><pre class="screen"># rm</pre></body></html>"""


def read(page: str) -> list[tuple[str, str]]:
    return [(one.key, one.text) for one in parse_page(page.encode())]


def test_a_page_of_mallard_is_its_titles_and_paragraphs_without_credits_and_remarks():
    assert read(MALLARD.format(credits="")) == [
        ("0/3", "Hjälpmedel"),
        ("1/3", "Systemet har Orca &amp; annat."),
        ("2/3", "Tryck SuperS."),
    ]


def test_a_page_of_docbook_is_its_titles_and_paragraphs_without_links_around_and_what_is_typed():
    assert read(DOCBOOK) == [
        ("0/3", "1.3. Hur"),
        ("1/3", "Det finns mycket arbete."),
        ("2/3", "Se där"),
    ]


def test_credits_of_translators_do_not_move_the_other_blocks():
    credit = "<credit><name>En Översättare</name></credit>"
    assert read(MALLARD.format(credits=credit)) == read(MALLARD.format(credits=""))


def test_a_page_of_another_edition_has_no_key_in_common():
    more = MALLARD.replace("<title>", "<p>Nytt.</p><title>")
    keys = {key for key, _ in read(MALLARD.format(credits=""))}
    assert not keys & {key for key, _ in read(more.format(credits=""))}


def test_paragraphs_without_an_id_are_no_aligned_text():
    page = b'<p class="x">a</p><p id="par_1" dir="auto">b <b>c</b></p><p id="h"> </p>'
    assert [(one.key, one.text) for one in parse_help(page)] == [("par_1", "b <b>c</b>")]
