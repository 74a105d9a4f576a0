// Returns a sentence for each fault of the layout: too wide for the window, too small to hit.
() => {
  const SMALLEST = 24;
  const faults = [];
  const root = document.documentElement;

  const called = (element) => {
    const id = element.id ? `#${element.id}` : "";
    const classes = [...element.classList].map((name) => `.${name}`).join("");
    const text = (element.innerText || element.value || element.ariaLabel || "").trim();
    return `<${element.localName}${id}${classes}> "${text.slice(0, 30)}"`;
  };

  const isSeen = (element) =>
    element.checkVisibility({ opacityProperty: true, visibilityProperty: true });

  const scrollsAlone = (element) => {
    for (let up = element.parentElement; up && up !== document.body; up = up.parentElement) {
      if (getComputedStyle(up).overflowX !== "visible") return true;
    }
    return false;
  };

  if (root.scrollWidth > innerWidth) {
    const wide = [...document.body.querySelectorAll("*")].filter(
      (element) =>
        element.getBoundingClientRect().right > innerWidth + 0.5 && !scrollsAlone(element),
    );
    const named = wide.slice(0, 5).map(called).join(", ");
    faults.push(`overflow: ${root.scrollWidth} px in a window of ${innerWidth}: ${named}`);
  }

  // A link inside a sentence is as high as its line; so says WCAG 2.5.8, too.
  const isInSentence = (element) => {
    if (getComputedStyle(element).display !== "inline") return false;
    const around = element.parentElement.innerText || "";
    return around.trim().length > (element.innerText || "").trim().length;
  };

  // A label is part of the target of its field.
  const boxes = (element) =>
    [element, ...(element.labels || [])].map((part) => part.getBoundingClientRect());

  const isOffScreen = (box) => box.right <= 0 || box.bottom + scrollY <= 0 || box.width <= 1;

  const targets =
    "a[href], button, input:not([type=hidden]), select, textarea, summary, " +
    "[role=button], [role=link], [role=tab], [role=menuitem], [role=switch]";
  for (const element of document.querySelectorAll(targets)) {
    if (!isSeen(element) || isOffScreen(element.getBoundingClientRect())) continue;
    if (isInSentence(element)) continue;
    const width = Math.max(...boxes(element).map((box) => box.width));
    const height = Math.max(...boxes(element).map((box) => box.height));
    if (width < SMALLEST - 0.5 || height < SMALLEST - 0.5) {
      faults.push(`target: ${width.toFixed(0)}×${height.toFixed(0)} px: ${called(element)}`);
    }
  }
  return faults;
};
