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
