"""A page as its reader sees it: headings, text, and the form with what it would post."""

import re
from typing import Any

from lxml import html


class Page:
    def __init__(self, response: Any) -> None:
        self.status = response.status_code
        self.tree = html.fromstring(response.content.decode())

    @property
    def heading(self) -> str:
        return self.texts("//h1")[0]

    @property
    def fields(self) -> dict[str, Any]:
        """What a browser would post if the form were submitted as it is."""
        form = self.tree.forms[0]
        # What is empty a browser posts as empty; lxml leaves it out, or posts 'on' for a radio.
        typed = form.xpath(".//input[not(@value)][@type='number' or @type='text' or @type='date']/@name")
        unknown = form.xpath(".//input[@type='radio'][@checked][@value='']/@name")
        posted = dict(form.form_values()) | dict.fromkeys([*typed, *unknown], "")
        return {name: value for name, value in posted.items() if name != "csrfmiddlewaretoken"}

    def texts(self, path: str) -> list[str]:
        """The text of each element at an XPath, with single spaces between words and cells."""
        texts = (" ".join(" ".join(element.itertext()).split()) for element in self.tree.xpath(path))
        return [re.sub(r" (?=[.,:;])", "", text) for text in texts]

    def of_class(self, name: str) -> list[str]:
        return self.texts(f"//*[contains(concat(' ', @class, ' '), ' {name} ')]")

    def labelled(self, name: str) -> Any:
        """The one control of a column."""
        (control,) = self.tree.xpath("//*[@name=$name]", name=name)
        return control

    def links(self) -> list[str]:
        return [link.get("href") for link in self.tree.xpath("//a")]
