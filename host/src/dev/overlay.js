// Shows over the page what the last build complained of, until a build succeeds. `wsrun dev` adds it to every page that it serves; a page of
// another server may load it from there.
(() => {
  "use strict";
  if (document.getElementById("wsrun-overlay")) return;
  const overlay = document.createElement("div");
  overlay.id = "wsrun-overlay";
  overlay.hidden = true;
  overlay.setAttribute("role", "alert");
  const root = overlay.attachShadow({ mode: "open" });
  root.innerHTML = `<style>
    :host { position: fixed; inset: auto 0 0 0; max-height: 60vh; overflow: auto; z-index: 2147483647; background: #2b1014; color: #ffe9ea;
      border-top: 3px solid #ff5d6c; font: 13px/1.45 ui-monospace, monospace; box-shadow: 0 -6px 24px #0006; }
    :host([hidden]) { display: none; }
    header { display: flex; gap: 1em; align-items: baseline; padding: .7em 1em 0; font-weight: bold; }
    header span { flex: 1; }
    button { font: inherit; color: inherit; background: none; border: 1px solid #ff5d6c; border-radius: 4px; cursor: pointer; }
    pre { margin: 0; padding: .7em 1em 1em; white-space: pre-wrap; overflow-wrap: anywhere; }
  </style><header><span>The build failed. The version before it still serves.</span><button type="button">hide</button></header><pre></pre>`;
  const text = root.querySelector("pre");
  let hiddenError = null;
  root.querySelector("button").onclick = () => {
    hiddenError = text.textContent;
    overlay.hidden = true;
  };
  const look = async () => {
    let status = null;
    try {
      status = await (await fetch("/.wsrun/status", { cache: "no-store" })).json();
      // Colours are for terminals.
      const error = (status.error ?? "").replace(/\u001b\[[0-9;]*m/g, "");
      text.textContent = error;
      if (error === "") hiddenError = null;
      overlay.hidden = error === "" || error === hiddenError;
    } catch {
      // The server is gone: that is for the page to tell.
    }
    document.dispatchEvent(new CustomEvent("wsrun-status", { detail: status }));
    setTimeout(look, 500);
  };
  const begin = () => {
    document.body.append(overlay);
    look();
  };
  if (document.body) begin();
  else document.addEventListener("DOMContentLoaded", begin);
})();
