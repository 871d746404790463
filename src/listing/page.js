
"use strict";
(() => {
  const one = (selector) => document.querySelector(selector);
  const filter = one("#filter");
  const found = one("#found");
  const up = one("a.u");
  const groups = [...document.querySelectorAll("tbody.g")];
  let rows; // Groups with their rows and the rows' names, gathered when first asked for.

  const gather = () => groups.map((group) => {
    const list = [...group.rows].map((row) => [
      row,
      row.cells[0].textContent.normalize().toLowerCase(),
    ]);
    return [group, list];
  });

  const apply = () => {
    const words = filter.value.normalize().toLowerCase().split(/\s+/).filter(Boolean);
    rows ??= gather();
    // Measured before anything changes, and once: each group asked would have to be laid out.
    const height = one(".g:not([hidden]) tr:not([hidden])")?.offsetHeight ?? 36;
    let shown = 0;
    let all = 0;
    for (const [group, list] of rows) {
      let visible = 0;
      for (const [row, name] of list) {
        const matches = words.every((word) => name.includes(word));
        if (row.hidden === matches) row.hidden = !matches;
        visible += matches;
      }
      group.hidden = visible === 0;
      // The group may be far away and not laid out: its height is told, not measured.
      group.style.containIntrinsicSize = words.length ? `none ${visible * height}px` : "";
      shown += visible;
      all += list.length;
    }
    const format = (count) => count.toLocaleString("en");
    found.textContent = words.length ? `${format(shown)} of ${format(all)} shown` : "";
  };

  let waiting = 0;
  const applySoon = () => {
    clearTimeout(waiting);
    waiting = setTimeout(() => {
      apply();
      scrollTo(0, 0);
    }, 60);
  };

  // The next or previous row that is shown, over the borders of groups.
  const beside = (row, way) => {
    let next = row;
    do {
      let group = next.parentNode;
      next = next[`${way}ElementSibling`];
      while (!next) {
        group = group[`${way}ElementSibling`];
        if (group?.localName !== "tbody") return null;
        next = way === "next" ? group.rows[0] : group.rows[group.rows.length - 1];
      }
    } while (next.hidden);
    return next;
  };

  const first = () => {
    const row = one("tbody tr");
    return row?.hidden ? beside(row, "next") : row;
  };
  const firstFound = () => {
    const row = groups[0]?.rows[0];
    return row?.hidden ? beside(row, "next") : row;
  };

  const move = (way) => {
    const here = document.activeElement.closest("tbody tr");
    const row = here ? beside(here, way) : first();
    row?.querySelector("a").focus();
  };

  const keys = {
    ArrowDown: () => move("next"),
    j: () => move("next"),
    ArrowUp: () => move("previous"),
    k: () => move("previous"),
    Backspace: () => up?.click(),
    u: () => up?.click(),
    "/": () => filter.select(),
  };

  addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.altKey || event.metaKey || event.isComposing) return;
    let act = keys[event.key];
    if (event.target === filter) {
      act = {
        ArrowDown: () => firstFound()?.querySelector("a").focus(),
        Enter: () => {
          apply();
          firstFound()?.querySelector("a").click();
        },
        Escape: () => {
          filter.value = "";
          apply();
          filter.blur();
        },
      }[event.key];
    }
    if (!act) return;
    event.preventDefault();
    act();
  });

  filter.hidden = groups.length === 0;
  one("#keys").hidden = filter.hidden;
  one("nav").scrollLeft = 1e6; // The end of a long path is what is looked for.
  filter.addEventListener("input", applySoon);
  if (filter.value) apply(); // The browser has kept it over a reload.
})();
