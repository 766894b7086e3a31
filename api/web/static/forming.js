// A slider over the pictures of the images while they form. Without it the newest picture is shown, and the
// others are links.

const moments = document.getElementById("moments");
const shown = document.getElementById("shown");
const caption = document.getElementById("shown-after");
const slider = document.getElementById("moment");
const ready = new Map(); // pictures that were loaded before: no flicker when the slider runs over them

function links() {
  return [...moments.querySelectorAll("a")];
}

function show() {
  const link = links()[slider.value];
  if (!link || shown.getAttribute("href") === link.getAttribute("href")) return;
  shown.setAttribute("href", link.getAttribute("href")); // an <image>, whose rows the table shows
  caption.textContent = link.textContent;
  slider.setAttribute("aria-valuetext", link.textContent);
}

function load() {
  for (const link of links()) {
    const address = link.getAttribute("href");
    if (ready.has(address)) continue;
    const picture = new Image();
    picture.src = address;
    ready.set(address, picture);
  }
}

// Who looks at the newest goes on to the next; who looks back is left where they are.
function follow() {
  const last = links().length - 1;
  const atEnd = Number(slider.value) >= Number(slider.max);
  slider.max = last;
  if (atEnd) slider.value = last;
  document.getElementById("forming").hidden = last < 0;
  slider.parentElement.hidden = last < 1;
  show();
  if (last > 0) load();
}

if (moments) {
  slider.addEventListener("input", show);
  new MutationObserver(follow).observe(moments, { childList: true, subtree: true });
  slider.max = links().length - 1;
  slider.value = slider.max;
  moments.hidden = true; // out of the way of Tab, too
  follow();
}
