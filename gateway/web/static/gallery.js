// The gallery by keyboard: one key says who is right, and the next picture comes. Without this script its buttons do the same.
"use strict";
(() => {
  const pictures = [...document.querySelectorAll(".picture")];
  if (!pictures.length) return;
  let current = -1;
  let newest = 0;

  const go = (to) => {
    current = Math.min(Math.max(to, 0), pictures.length - 1);
    pictures[current].focus({ preventScroll: true });
    pictures[current].scrollIntoView({ block: "start" });
  };

  const show = (picture, right) => {
    for (const side of picture.querySelectorAll(".side[data-arm]")) {
      if (!picture.querySelector(`button[name="right"][value="${CSS.escape(side.dataset.arm)}"]`)) continue;
      side.classList.toggle("right", right !== null && right.includes(side.dataset.arm));
      side.classList.toggle("wrong", right !== null && !right.includes(side.dataset.arm));
    }
    picture.querySelector(".judged").textContent = right === null ? "" : "judged";
  };

  const say = async (picture, button) => {
    const arms = [...picture.querySelectorAll('button[name="right"]')].map((one) => one.value);
    const right = button.name === "right" ? [button.value] : { all: arms, none: [], undo: null }[button.value];
    const form = new URLSearchParams(new FormData(button.form));
    form.append(button.name, button.value);
    form.append("from", "gallery");
    show(picture, right);
    const mine = ++newest;
    try {
      const answer = await fetch(location.pathname + location.search, { method: "POST", body: form, redirect: "error" });
      if (!answer.ok) throw new Error(answer.statusText);
      const text = await answer.text();
      if (mine === newest) document.getElementById("report").innerHTML = text;  // our own server's page, every value escaped there
    } catch (error) {
      show(picture, null);
      picture.querySelector(".judged").textContent = "not saved: reload the page and try again";
    }
  };

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || /^(INPUT|SELECT|TEXTAREA)$/.test(event.target.tagName)) return;
    if (event.key === "j" || event.key === "k") {
      event.preventDefault();
      go(current + (event.key === "j" ? 1 : -1));
      return;
    }
    const picture = pictures[Math.max(current, 0)];
    const button = picture.querySelector(`button[data-key="${CSS.escape(event.key)}"]`);
    if (!button) return;
    event.preventDefault();
    say(picture, button);
    go(Math.max(current, 0) + (event.key === "u" ? 0 : 1));
  });

  document.addEventListener("submit", (event) => {
    if (!event.target.matches(".say") || !event.submitter || event.submitter.value === "forget") return;
    event.preventDefault();
    say(event.target.closest(".picture"), event.submitter);
  });
  pictures.forEach((picture, n) => picture.addEventListener("focusin", () => { current = n; }));
})();
