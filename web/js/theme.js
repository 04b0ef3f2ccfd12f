/* theme.js - sets the theme before anything is painted; not a module, so that it runs at once. */
(function () {
	const dark = window.matchMedia('(prefers-color-scheme: dark)');
	function apply() {
		let chosen = null;
		try { chosen = localStorage.getItem('durable.theme'); } catch { /* storage is off */ }
		document.documentElement.dataset.theme = chosen || (dark.matches ? 'dark' : 'light');
	}
	dark.addEventListener('change', apply);
	window.addEventListener('storage', apply);
	window.addEventListener('durable-theme', apply);
	apply();
})();
