/* Names and roles that the toolchain gets wrong; tests/test_site.py runs axe over every page. */
document.addEventListener("DOMContentLoaded", function () {
  function each(selector, action) { document.querySelectorAll(selector).forEach(action); }

  // Sphinx: a role=list whose children carry the withdrawn role doc-biblioentry.
  each(".citation-list[role=list], .citation[role=doc-biblioentry]", function (e) { e.removeAttribute("role"); });

  // Exercises: the same id again in each of them.
  each("#exercise-content, #solution-content", function (e) { e.removeAttribute("id"); });

  // Theme and MyST: a label that differs from the text which is seen (WCAG 2.5.3).
  each("button.search-button-field, summary[aria-label]", function (e) { e.removeAttribute("aria-label"); });

  // Theme: the name of the book in the sidebar lies outside every landmark.
  each(".bd-sidebar-primary:not([role])", function (e) {
    e.setAttribute("role", "complementary");
    e.setAttribute("aria-label", "Book navigation");
  });
});

/* On paper hidden code is unfolded; hm.css does the same for solutions and notes. */
window.addEventListener("beforeprint", function () {
  document.querySelectorAll("details:not([open])").forEach(function (e) { e.open = true; e.dataset.hmFolded = ""; });
});
window.addEventListener("afterprint", function () {
  document.querySelectorAll("details[data-hm-folded]").forEach(function (e) { e.open = false; delete e.dataset.hmFolded; });
});
