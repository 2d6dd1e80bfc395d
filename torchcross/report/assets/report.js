"use strict";
(() => {
  const root = document.documentElement;
  root.classList.add("js");

  // Pages opened from disk may be denied any storage.
  const stored = {
    get() { try { return localStorage.getItem("torchcross-theme"); } catch { return null; } },
    set(theme) { try { localStorage.setItem("torchcross-theme", theme); } catch { /* the page works without */ } },
  };

  function useTheme(theme) {
    if (theme === "auto") delete root.dataset.theme;
    else root.dataset.theme = theme;
  }

  for (const input of document.querySelectorAll("input[name=theme]")) {
    if (input.value === stored.get()) { input.checked = true; useTheme(input.value); }
    input.addEventListener("change", () => { useTheme(input.value); stored.set(input.value); });
  }

  const status = document.getElementById("status");
  const words = new Intl.Collator(undefined, { numeric: true });

  function valueOf(row, column) {
    const cell = row.cells[column];
    return "value" in cell.dataset ? cell.dataset.value : cell.textContent.trim();
  }

  function compare(column, isNumeric, sign) {
    return (one, other) => {
      const [a, b] = [valueOf(one, column), valueOf(other, column)];
      if (a === "" || b === "") return (a === "") - (b === "");
      return sign * (isNumeric ? Number(a) - Number(b) : words.compare(a, b));
    };
  }

  function makeSortable(table) {
    const bodies = [...table.tBodies];
    const original = bodies.map((body) => [...body.rows]);
    const rows = original.flat().filter((row) => !row.classList.contains("group"));
    const headers = [...table.tHead.querySelectorAll("th[data-column]")];

    function restore() {
      table.classList.remove("sorted");
      original.forEach((own, number) => bodies[number].append(...own));
    }

    const undo = document.createElement("button");
    Object.assign(undo, { type: "button", className: "tool", textContent: "Undo sorting", hidden: true });
    undo.addEventListener("click", () => {
      const header = headers.find((each) => each.hasAttribute("aria-sort"));
      if (header) { sortBy(header, "none"); header.querySelector("button").focus(); }
    });
    table.closest(".scroll").after(undo);

    function sortBy(header, direction) {
      const column = Number(header.dataset.column);
      for (const each of headers) each.removeAttribute("aria-sort");
      if (direction === "none") {
        restore();
      } else {
        header.setAttribute("aria-sort", direction);
        table.classList.add("sorted");
        const sign = direction === "ascending" ? 1 : -1;
        bodies[0].append(...[...rows].sort(compare(column, header.dataset.kind === "number", sign)));
      }
      undo.hidden = direction === "none";
      status.textContent = direction === "none" ? "Original order" : `Sorted by ${header.dataset.name}, ${direction}`;
    }

    for (const header of headers) {
      const first = header.dataset.kind === "number" ? "descending" : "ascending";
      const second = first === "ascending" ? "descending" : "ascending";
      const following = { none: first, [first]: second, [second]: "none" };
      header.querySelector("button").addEventListener("click", () => {
        sortBy(header, following[header.getAttribute("aria-sort") ?? "none"]);
      });
    }
  }

  for (const table of document.querySelectorAll("table.sortable")) makeSortable(table);

  function button(text, onClick) {
    const tool = document.createElement("button");
    Object.assign(tool, { type: "button", className: "tool", textContent: text });
    tool.addEventListener("click", onClick);
    return tool;
  }

  // -- filters of the first table ----------------------------------------------------------------

  function setHidden(elements, isHidden) {
    for (const each of elements) each.hidden = isHidden;
  }

  function makeFilters(table) {
    const headers = [...table.tHead.querySelectorAll("th[data-algorithm]")];
    const spans = [...table.tHead.querySelectorAll("th.span")];
    const groups = [...table.tBodies].map((body) => [body, body.querySelector(".group th")?.textContent]);
    const domainOf = new Map(groups.flatMap(([body, name]) => [...body.rows].map((row) => [row, name])));
    const off = { shots: new Set(), algorithm: new Set(), domain: new Set() };

    function apply() {
      const shown = headers.map(({ dataset }) => !off.shots.has(dataset.shots) && !off.algorithm.has(dataset.algorithm));
      const lines = [...table.tBodies, table.tFoot].filter(Boolean).flatMap((part) => [...part.rows]);
      headers.forEach((header, place) => { header.hidden = !shown[place]; });
      for (const row of lines) {
        if (row.classList.contains("group")) row.cells[0].colSpan = 1 + shown.filter(Boolean).length;
        else shown.forEach((isShown, place) => { row.cells[place + 1].hidden = !isShown; });
      }
      let first = 0;
      for (const span of spans) {
        const width = Number(span.dataset.width ??= span.colSpan);
        const left = shown.slice(first, first + width).filter(Boolean).length;
        span.hidden = !left;
        if (left) span.colSpan = left;
        first += width;
      }
      for (const [row, name] of domainOf) row.hidden = off.domain.has(name);
    }

    function choices(kind, title, values) {
      const unique = [...new Set(values)].filter((value) => value !== undefined && value !== "None");
      if (unique.length < 2) return null;
      const set = document.createElement("fieldset");
      set.append(Object.assign(document.createElement("legend"), { textContent: title }));
      for (const value of unique) {
        const label = document.createElement("label");
        const box = Object.assign(document.createElement("input"), { type: "checkbox", checked: true });
        box.addEventListener("change", () => {
          off[kind][box.checked ? "delete" : "add"](value);
          apply();
          status.textContent = `${value} ${box.checked ? "shown" : "hidden"}`;
        });
        label.append(box, ` ${value}`);
        set.append(label);
      }
      return set;
    }

    const sets = [
      choices("shots", "Shots", headers.map(({ dataset }) => dataset.shots)),
      choices("algorithm", "Algorithms", headers.map(({ dataset }) => dataset.algorithm)),
      choices("domain", "Domains", groups.map(([, name]) => name)),
    ].filter(Boolean);
    const bar = document.createElement("div");
    bar.className = "filters";
    if (sets.length) bar.append(...sets, button("Show all", () => {
      for (const box of bar.querySelectorAll("input")) box.checked = true;
      for (const set of Object.values(off)) set.clear();
      apply();
      status.textContent = "All rows and columns are shown";
    }));
    table.closest(".scroll").before(bar);
  }

  const first = document.querySelector("table.sortable.headline");
  if (first) makeFilters(first);

  // -- what goes on beyond an edge ------------------------------------------------------------------

  function markEdges(box) {
    const hidden = box.scrollWidth - box.clientWidth - box.scrollLeft;
    box.classList.toggle("more-left", box.scrollLeft > 1);
    box.classList.toggle("more-right", hidden > 1);
  }

  const boxes = ".scroll, nav ul";
  const watcher = new ResizeObserver((sizes) => {
    for (const { target } of sizes) markEdges(target.closest(boxes));
  });
  for (const box of document.querySelectorAll(boxes)) {
    box.addEventListener("scroll", () => markEdges(box), { passive: true });
    for (const part of [box, box.firstElementChild].filter(Boolean)) watcher.observe(part);
  }

  // -- the answer as text, and links into folds ---------------------------------------------------

  const answer = document.getElementById("answer");
  if (answer?.querySelector(".answer")) {
    answer.append(button("Copy as text", async () => {
      const text = [...answer.querySelectorAll("p, li")].map((part) => part.textContent.trim()).join(" ");
      try { await navigator.clipboard.writeText(text); status.textContent = "The answer is copied"; }
      catch { getSelection().selectAllChildren(answer); status.textContent = "The answer is selected: copy it"; }
    }));
  }

  function openPlace() {
    const place = location.hash.length > 1 && document.getElementById(decodeURIComponent(location.hash.slice(1)));
    if (!place) return;
    const part = place.querySelector(":scope > .part");
    if (part) part.open = true;
    for (let fold = place.closest("details"); fold; fold = fold.parentElement.closest("details")) fold.open = true;
    place.scrollIntoView();
  }
  addEventListener("hashchange", openPlace);
  // A second click on the same link changes no address.
  addEventListener("click", (event) => { if (event.target.closest("a")?.hash) setTimeout(openPlace); });
  openPlace();

  // Paper has every section, also in browsers whose style sheets cannot open a fold.
  const closed = [];
  addEventListener("beforeprint", () => {
    for (const part of document.querySelectorAll(".part:not([open])")) { part.open = true; closed.push(part); }
  });
  addEventListener("afterprint", () => { for (const part of closed.splice(0)) part.open = false; });

  function save(blob, name) {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(blob);
    link.download = name;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 60000);
  }

  // The link itself holds the compressed rows, for readers without scripts; with them it gives plain CSV.
  async function unpacked(address) {
    const bytes = Uint8Array.from(atob(address.slice(address.indexOf(",") + 1)), (letter) => letter.charCodeAt(0));
    return new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"))).text();
  }

  const rows = document.getElementById("rows");
  if (rows && "DecompressionStream" in window) {
    rows.download = rows.download.replace(/\.gz$/, "");
    rows.addEventListener("click", async (event) => {
      event.preventDefault();
      status.textContent = "Unpacking the rows";
      const text = await unpacked(rows.getAttribute("href"));
      save(new Blob([text], { type: "text/csv" }), rows.download);
      status.textContent = `${rows.download} is ready`;
    });
  }
})();
