"""``moatbridge demo --serve``: the demo goes on, with a page to look at and answer."""
