// The frame's own behaviour: the light and dark switch, and the word when a page has lost its session.
(() => {
  const root = document.documentElement;
  const button = document.getElementById("frame-theme");
  const system = matchMedia("(prefers-color-scheme: dark)");

  const chosen = () => {
    try { return localStorage.getItem("labTheme"); } catch { return null; }
  };

  const show = (theme) => {
    root.dataset.theme = theme;
    button.setAttribute("aria-pressed", String(theme === "dark"));
    document.body.dataset.jpThemeLight = String(theme !== "dark");
  };

  button.addEventListener("click", () => {
    const theme = root.dataset.theme === "dark" ? "light" : "dark";
    try { localStorage.setItem("labTheme", theme); } catch { /* a private window: for this page only */ }
    show(theme);
  });
  system.addEventListener("change", () => chosen() || show(system.matches ? "dark" : "light"));
  addEventListener("storage", (event) => event.key === "labTheme" && event.newValue && show(event.newValue));
  show(root.dataset.theme);

  // on a phone there is more navigation than screen: the page that is open is in view
  const nav = document.querySelector(".frame-top nav");
  const here = nav && nav.querySelector("[aria-current]");
  if (here) nav.scrollLeft += here.getBoundingClientRect().right - nav.getBoundingClientRect().right + 24;

  const PAUSE_MS = 3000;
  const ENDED = "This page's session has ended. What was submitted goes on; reload to see it.";
  const AWAY = "The lab does not answer. If it was stopped, start it with “orchestrator up”; this page then says so.";
  const LOCKED = "You are logged out. Reload to log in again.";

  // A kernel that died is taken away by the server, so that one question answers for both ways of losing it.
  window.labWatch = ({ baseUrl, kernelId }) => {
    const banner = document.getElementById("frame-lost");
    const text = document.getElementById("frame-lost-text");
    let misses = 0;
    let over = false;

    const say = (message) => {
      if (message) text.textContent = message;
      banner.hidden = !message;
    };

    const look = async () => {
      if (over || document.hidden) return;
      let status = 0;
      try {
        status = (await fetch(`${baseUrl}api/kernels/${kernelId}`, { cache: "no-store" })).status;
      } catch { /* the server is away */ }
      misses = status === 200 ? 0 : misses + 1;
      if (status === 404) {
        over = true;
        say(ENDED);
      } else if (misses === 0) {
        say("");
      } else if (misses > 1) {
        say(status === 403 ? LOCKED : AWAY);
      }
    };

    setInterval(look, PAUSE_MS);
    document.addEventListener("visibilitychange", look);
  };
})();
