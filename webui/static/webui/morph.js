// Make one piece of a page like another, touching only what differs: the same element stays the
// same node, so focus, scroll, selection, ticks and open menus survive. Elements are told apart by
// their id. What a person is changing (a field, an open <details>) is left as it is.

export function morph(from, to) {
  if (from.nodeType !== to.nodeType || from.nodeName !== to.nodeName) {
    from.replaceWith(to.cloneNode(true));
    return;
  }
  if (from.nodeType !== Node.ELEMENT_NODE) {
    if (from.nodeValue !== to.nodeValue) from.nodeValue = to.nodeValue;
    return;
  }
  if (from.hasAttribute("data-keep")) return;
  const isList = from.hasAttribute("data-list");
  const isKept = isList && isHeld(from);
  attributes(from, to);
  if (from.matches("input, select, textarea")) {
    if (from !== document.activeElement && !from.dataset.touched) {
      if (from.type === "checkbox" || from.type === "radio") from.checked = to.checked;
      else if (from.value !== to.value) from.value = to.value;
    }
    return;
  }
  if (isKept) held(from, to);
  else {
    children(from, to);
    if (isList) tell(from, 0);
  }
}

function attributes(from, to) {
  for (const { name, value } of [...to.attributes]) {
    if (name === "open" || name === "value" || name === "checked") continue;
    if (from.getAttribute(name) !== value) from.setAttribute(name, value);
  }
  for (const { name } of [...from.attributes]) {
    if (name === "open" || name === "data-touched" || name === "value") continue;
    if (!to.hasAttribute(name)) from.removeAttribute(name);
  }
}

function children(from, to) {
  const known = new Map();
  for (const child of from.children) if (child.id) known.set(child.id, child);
  let next = from.firstChild;
  for (const wanted of [...to.childNodes]) {
    const same = wanted.id ? known.get(wanted.id) : null;
    if (same) {
      if (same === next) next = next.nextSibling;
      else from.insertBefore(same, next);
      morph(same, wanted);
    } else if (next && !next.id && !wanted.id && next.nodeName === wanted.nodeName) {
      const following = next.nextSibling;
      morph(next, wanted);
      next = following;
    } else {
      from.insertBefore(wanted.cloneNode(true), next);
    }
  }
  while (next) {
    const following = next.nextSibling;
    next.remove();
    next = following;
  }
}

// A list under the pointer, with the focus in it or rows ticked, keeps its rows where they are,
// until the hand is gone or somebody asks for what waits (`data-released`).
export function isHeld(list) {
  if (list.hasAttribute("data-released")) return false;
  return list.matches(":hover") || list.querySelector(":focus-visible, [type=checkbox]:checked") !== null;
}

function held(from, to) {
  const wanted = new Map([...to.children].map((child) => [child.id, child]));
  const here = [...from.children].map((child) => child.id);
  const fresh = [...wanted.keys()].filter((id) => !here.includes(id)).length;
  let gone = 0;
  for (const child of [...from.children]) {
    const same = wanted.get(child.id);
    if (same) morph(child, same);
    else {
      child.classList.add("gone");
      gone += 1;
    }
  }
  const stay = (ids, others) => ids.filter((id) => others.includes(id)).join();
  const isMoved = stay(here, [...wanted.keys()]) !== stay([...wanted.keys()], here);
  const changes = Math.max(fresh, gone, isMoved ? 1 : 0);
  if (changes) from.setAttribute("data-pending", changes);
  tell(from, changes);
}

// Say beside a list how much waits for the hand to leave it.
function tell(list, changes) {
  const chip = document.querySelector(`[data-pending-for="${list.id}"]`);
  chip.hidden = changes === 0;
  chip.querySelector("b").textContent = changes;
}
