// Sets the theme before the first paint, then starts the WebAssembly module.
//
// Trunk's own loader is an inline script, which the server's content security policy
// refuses. Trunk writes the hashed names into the meta element below instead
// (`pattern_script` in Trunk.toml) and this file, itself hashed, reads them.
(() => {
  "use strict";
  try {
    const theme = localStorage.getItem("signalbox.theme");
    if (theme === "light" || theme === "dark") {
      document.documentElement.dataset.theme = theme;
    }
  } catch {
    // No storage: the system's theme holds.
  }

  const fail = (reason) => {
    console.error("Signalbox could not start", reason);
    const boot = document.getElementById("boot");
    if (boot) {
      boot.setAttribute("role", "alert");
      boot.textContent =
        "The console could not start. Reload the page; if that does not help, the browser may be too old or WebAssembly may be switched off.";
    }
  };

  const start = async () => {
    const meta = document.querySelector('meta[name="console-module"]');
    if (!meta) {
      fail("no module named in the page");
      return;
    }
    const module = await import(meta.content);
    await module.default({ module_or_path: meta.dataset.wasm });
  };

  // The rule engine, downloaded once, when the rule editor first asks for it. A failed download
  // is forgotten, so that the next visit tries again.
  let explainer;
  window.signalboxLoadExplainer = () => {
    explainer ??= import("./explainer.js")
      .then((module) => module.default())
      .catch((reason) => {
        explainer = undefined;
        throw reason;
      });
    return explainer;
  };

  const run = () => start().catch(fail);
  if (document.readyState === "loading") {
    document.addEventListener("DOMContentLoaded", run, { once: true });
  } else {
    run();
  }
})();
