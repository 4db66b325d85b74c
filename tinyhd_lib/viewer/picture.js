// A picture that tells where it is pointed at and which keys are pressed while it has the focus.
function render({ model, el }) {
  const root = document.createElement("div");
  const image = document.createElement("img");
  const cursor = document.createElement("div");
  root.className = "tinyhd-picture";
  root.tabIndex = 0;
  root.setAttribute("role", "group");
  root.dataset.lmSuppressShortcuts = "true"; // else JupyterLab takes "1" for a heading, and "x" cuts the cell
  cursor.className = "tinyhd-cursor";
  image.draggable = false;
  root.append(image, cursor);
  el.append(root);

  let address = null;
  function showImage() {
    const old = address;
    address = URL.createObjectURL(new Blob([model.get("image")], { type: model.get("format") }));
    image.onload = () => old && URL.revokeObjectURL(old);
    image.src = address;
  }
  function showLabel() {
    image.alt = model.get("label");
    root.setAttribute("aria-label", model.get("name"));
    root.title = model.get("hint");
  }
  function showCursor() {
    const place = model.get("cursor");
    cursor.style.display = place < 0 ? "none" : "block";
    cursor.style.left = `${100 * place}%`;
  }

  // Where the pointer is, in parts of the picture. The model passes on only the latest place while the kernel is busy.
  function place(event) {
    const box = image.getBoundingClientRect();
    return [(event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height].map((each) =>
      Math.min(Math.max(each, 0), 1),
    );
  }
  let told = 0; // counted, for the same place twice is told twice
  function tell(trait, event) {
    model.set(trait, [...place(event), ++told]);
    model.save_changes();
  }
  root.addEventListener("pointerdown", (event) => {
    root.focus();
    root.setPointerCapture(event.pointerId);
    tell("pressed", event);
  });
  root.addEventListener("pointermove", (event) => tell(event.buttons ? "pressed" : "pointer", event));
  root.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || !model.get("taken").includes(event.key)) return;
    event.preventDefault();
    model.send({ key: event.key });
  });

  showImage();
  showLabel();
  showCursor();
  model.on("change:image", showImage);
  model.on("change:label", showLabel);
  model.on("change:cursor", showCursor);
  return () => URL.revokeObjectURL(address);
}
export default { render };
