// Brings a page up to date by itself, and says so where it cannot. Every page works without it.
"use strict";
(() => {
  const MAIN = "main";
  let fresh = Date.now();

  const show = (id, shown) => {
    const element = document.getElementById(id);
    if (element && element.hidden === shown) element.hidden = !shown;
  };
  const polls = (event) => event.detail.ctx?.sourceElement?.id === MAIN;
  const failed = () => show("stale", true);

  document.addEventListener("htmx:before:request", (event) => {
    // nobody looks at it: what a tab in the background asks for would only cost
    if (polls(event) && document.hidden) event.preventDefault();
  });
  document.addEventListener("htmx:before:response", (event) => {
    if (!polls(event)) return;
    const { status } = event.detail.ctx.response;
    if (status === 401) {
      show("stale", false);
      show("ended", true);
    } else if (status >= 400) failed();
  });
  document.addEventListener("htmx:error", (event) => {
    if (event.detail.ctx && polls(event)) failed();
  });
  document.addEventListener("htmx:after:swap", (event) => {
    if (!polls(event) || event.detail.ctx.response.status >= 400) return;
    fresh = Date.now();
    show("stale", false);
    show("ended", false);
  });

  const again = () => {
    const main = document.getElementById(MAIN);
    if (main?.hasAttribute("hx-get")) htmx.trigger(main, "again");
  };
  document.addEventListener("visibilitychange", () => {
    if (!document.hidden && Date.now() - fresh > 60_000) again();
  });
  document.getElementById("again")?.addEventListener("click", again);
})();
