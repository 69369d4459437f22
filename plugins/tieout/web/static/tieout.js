// The pages work without this file, apart from starting things in Airflow. It follows Airflow's theme, leads links out
// of the frame, moves the focus within the map, loads what takes longer, and calls Airflow's API when asked to.
"use strict";

(() => {
  const root = document.documentElement;

  // Airflow keeps its theme in the site's storage; in a frame that may not read it, the system's theme holds.
  function followTheme() {
    let theme = null;
    try {
      theme = localStorage.getItem("theme");
    } catch {
      return;
    }
    if (theme === "light" || theme === "dark") root.dataset.theme = theme;
    else delete root.dataset.theme;
  }
  followTheme();
  addEventListener("storage", (event) => {
    if (event.key === "theme") followTheme();
  });

  // Airflow's frame does not let a page leave it; a link of Airflow's own page may go anywhere on the site.
  function leaveFrame(href) {
    const url = new URL(href, location.href);
    if (url.origin !== location.origin) return;
    if (window.parent === window) {
      location.assign(url);
      return;
    }
    const outer = window.parent.document;
    const link = outer.createElement("a");
    link.href = url.href;
    outer.body.append(link);
    link.click();
    link.remove();
  }

  function outward(event) {
    const link = event.target.closest("a.airflow");
    const plainClick = !(event.ctrlKey || event.metaKey || event.shiftKey || event.altKey);
    if (!link || !plainClick || window.parent === window) return;
    event.preventDefault();
    leaveFrame(link.href);
  }

  // One stop for the Tab key; arrows, Home and End move from there.
  function moveInMap(map) {
    const rows = [...map.tBodies[0].rows].map((row) => [...row.cells].slice(1).map((cell) => cell.firstElementChild));
    const all = rows.flat().filter(Boolean);
    for (const cell of all) cell.tabIndex = -1;
    if (all.length) all[all.length - 1].tabIndex = 0;
    map.addEventListener("focusin", (event) => {
      const cell = event.target.closest(".cell");
      if (!cell) return;
      for (const other of all) other.tabIndex = -1;
      cell.tabIndex = 0;
    });
    map.addEventListener("mouseover", (event) => {
      const cell = event.target.closest(".cell");
      if (cell) cell.title = cell.ariaLabel;
    });
    const steps = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] };
    map.addEventListener("keydown", (event) => {
      const from = event.target.closest(".cell");
      if (!from) return;
      let y = rows.findIndex((row) => row.includes(from));
      let x = rows[y].indexOf(from);
      if (event.key in steps) {
        const [down, right] = steps[event.key];
        do {
          y += down;
          x += right;
        } while (rows[y] && x >= 0 && x < rows[y].length && !rows[y][x]);
        if (rows[y] && rows[y][x]) rows[y][x].focus();
      } else if (event.key === "Home") rows[y].find(Boolean).focus();
      else if (event.key === "End") rows[y].findLast(Boolean).focus();
      else return;
      event.preventDefault();
    });
  }

  async function load(part) {
    try {
      const answer = await fetch(part.dataset.part, { headers: { "X-Tieout-Part": "1" }, credentials: "same-origin" });
      if (!answer.ok) throw new Error(String(answer.status));
      // The server escapes everything; the page's policy lets no script in it run.
      part.innerHTML = await answer.text();
    } catch {
      part.textContent = "This could not be loaded. ";
      const again = document.createElement("button");
      again.textContent = "Try again";
      again.addEventListener("click", () => load(part));
      part.append(again);
    }
    part.setAttribute("aria-busy", "false");
  }

  async function call(button) {
    const said = document.getElementById("called");
    button.disabled = true;
    said.textContent = "Asking Airflow …";
    try {
      const answer = await fetch(button.dataset.call, {
        method: "POST",
        headers: { "Content-Type": "application/json" },
        credentials: "same-origin",
        body: button.dataset.body,
      });
      const told = await answer.json().catch(() => ({}));
      if (!answer.ok) {
        const detail = typeof told.detail === "string" ? told.detail : JSON.stringify(told.detail ?? "");
        throw new Error(`Airflow refused it (${answer.status}). ${detail}`);
      }
      const link = document.createElement("a");
      link.className = "airflow";
      link.target = "_top";
      const run = told.dag_run_id;
      link.href = run ? `${button.dataset.done}/runs/${encodeURIComponent(run)}` : `${button.dataset.done}/backfills`;
      link.textContent = run ? `Run ${run}` : "its backfills";
      said.replaceChildren("Started. Watch it in Airflow: ", link);
    } catch (error) {
      said.textContent = error.message;
      button.disabled = false;
    }
  }

  addEventListener("DOMContentLoaded", () => {
    document.addEventListener("click", outward);
    for (const map of document.querySelectorAll("table.map")) {
      moveInMap(map);
      // The newest days matter most.
      const frame = map.closest(".scroll");
      frame.scrollLeft = frame.scrollWidth;
    }
    for (const chart of document.querySelectorAll(".tie-out")) {
      const frame = chart.closest(".scroll");
      frame.scrollLeft = frame.scrollWidth;
    }
    document.querySelector("[data-shown]")?.scrollIntoView({ block: "center" });
    for (const part of document.querySelectorAll("[data-part]")) load(part);
    for (const button of document.querySelectorAll("[data-call]")) {
      button.addEventListener("click", () => call(button));
    }
    const loading = document.getElementById("loading");
    addEventListener("beforeunload", () => {
      if (!document.activeElement?.hasAttribute("download")) loading.hidden = false;
    });
    addEventListener("pageshow", () => {
      loading.hidden = true;
    });
  });
})();
