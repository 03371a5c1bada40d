/* The vendored MathJax has one renderer and no speech explorer (see vendor/README.md): take those
   entries out of its context menu that would ask for a file that is not there. */
document.addEventListener("DOMContentLoaded", function () {
  if (!window.MathJax || !MathJax.startup || !MathJax.startup.promise) return;
  MathJax.startup.promise.then(function () {
    var menu = MathJax.startup.document.menu;
    if (!menu) return;
    ["Renderer", "Accessibility", "Language"].forEach(function (id) {
      var item = menu.menu.findID("Settings", id) || menu.menu.findID(id);
      if (item) item.hide();
    });
  });
});
