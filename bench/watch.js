// Runs in the console's page: notes when each card's value and each worklist row came into the DOM, and each event of the stream.
() => {
  const seen = { cards: [], rows: [], events: [] };
  const cards = new Map(), rows = new Set();
  const look = () => {
    const at = Date.now();
    for (const card of document.querySelectorAll(".person")) {
      const value = card.querySelector(".last .val");
      if (!value || cards.get(card.id) === value.textContent) continue;
      cards.set(card.id, value.textContent);
      seen.cards.push({ who: card.id.slice(2), value: value.textContent, at });
    }
    for (const row of document.querySelectorAll("[data-list] .row")) {
      if (rows.has(row.dataset.id)) continue;
      rows.add(row.dataset.id);
      seen.rows.push({ alert: row.dataset.id, at });
    }
  };
  look();
  new MutationObserver(look).observe(document.body, { childList: true, subtree: true, characterData: true });
  const line = new EventSource("/events"); // a second stream beside the page's own
  for (const topic of ["reading", "alert", "series"]) {
    line.addEventListener(topic, (event) => seen.events.push({ topic, ids: JSON.parse(event.data).ids, at: Date.now() }));
  }
  window.benchSeen = seen;
}
