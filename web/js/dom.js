/*
 * dom.js - making elements.  Text is always text: nothing here or in any other file makes elements from strings.
 */

/** h('a', {class: 'x', href: '/', onclick: f, data: {id: 1}}, 'text', child): a new element. */
export function h(tag, properties, ...children) {
	return fill(document.createElement(tag), properties, children);
}

const SVG = 'http://www.w3.org/2000/svg';

export function svg(tag, properties, ...children) {
	return fill(document.createElementNS(SVG, tag), properties, children);
}

function fill(element, properties, children) {
	for (const [name, value] of Object.entries(properties ?? {})) {
		if (value === undefined || value === null || value === false)
			continue;
		if (name.startsWith('on'))
			element.addEventListener(name.slice(2), value);
		else if (name === 'data')
			Object.assign(element.dataset, value);
		else if (name === 'value')
			element.value = value;
		else
			element.setAttribute(name, value === true ? '' : value);
	}
	append(element, children);
	return element;
}

function append(element, children) {
	for (const child of children) {
		if (child === undefined || child === null || child === false)
			continue;
		if (Array.isArray(child))
			append(element, child);
		else
			element.append(child);
	}
}

/** Replaces all children. */
export function put(element, ...children) {
	element.replaceChildren();
	append(element, children);
	return element;
}

/** Sets the text if it is another one: assistive technology is not told the same twice. */
export function say(element, text) {
	text = String(text ?? '');
	if (element.textContent !== text)
		element.textContent = text;
}

/** Sets an attribute only when it changes. */
export function mark(element, name, value) {
	if (value === null || value === undefined || value === false) {
		if (element.hasAttribute(name))
			element.removeAttribute(name);
	} else {
		const text = value === true ? '' : String(value);
		if (element.getAttribute(name) !== text)
			element.setAttribute(name, text);
	}
}

export const find = (selector, root = document) => root.querySelector(selector);

const PATHS = {
	play: 'M7 5v14l11-7z', clock: 'M12 7v5l3 2M21 12a9 9 0 1 1-18 0 9 9 0 0 1 18 0z', check: 'M5 12.5l4.5 4.5L19 7.5',
	cross: 'M6 6l12 12M18 6L6 18', stop: 'M7 7h10v10H7z', pause: 'M9 6v12M15 6v12', dot: 'M12 12h.01M21 12a9 9 0 1 1-18 0 9 9 0 0 1 18 0z',
	alert: 'M12 9v4M12 17h.01M10.3 4.3L2.6 18a2 2 0 0 0 1.7 3h15.4a2 2 0 0 0 1.7-3L13.7 4.3a2 2 0 0 0-3.4 0z',
	copy: 'M9 9h10v11H9zM5 15V4h10', bell: 'M6 16V11a6 6 0 1 1 12 0v5l1.5 2h-15zM10 21h4', sun: 'M12 16a4 4 0 1 0 0-8 4 4 0 0 0 0 8zM12 2v2M12 20v2M2 12h2M20 12h2M5 5l1.4 1.4M17.6 17.6L19 19M5 19l1.4-1.4M17.6 6.4L19 5',
	moon: 'M20 14.5A8 8 0 1 1 9.5 4a6.5 6.5 0 0 0 10.5 10.5z', search: 'M11 18a7 7 0 1 0 0-14 7 7 0 0 0 0 14zM20 20l-4-4',
	link: 'M10 14a4 4 0 0 0 5.7 0l3-3A4 4 0 0 0 13 5.300l-1.5 1.500M14 10a4 4 0 0 0-5.7 0l-3 3A4 4 0 0 0 11 18.700l1.5-1.5',
	bolt: 'M13 2L5 13.500h6L10 22l8-11.500h-6z', skull: 'M12 3a8 8 0 0 0-5 14v3h10v-3a8 8 0 0 0-5-14zM9 12h.01M15 12h.01M10.5 20v-2M13.5 20v-2',
	trophy: 'M8 4h8v6a4 4 0 0 1-8 0zM8 6H5a3 3 0 0 0 3 4M16 6h3a3 3 0 0 1-3 4M12 14v4M8.5 20.500h7',
	door: 'M6 21V9a6 6 0 0 1 12 0v12M4 21h16M14.5 14h.01', code: 'M9 7l-5 5 5 5M15 7l5 5-5 5', refresh: 'M20 11a8 8 0 1 0-2 6M20 5v6h-6',
	branch: 'M6 4v16M6 10h7a4 4 0 0 1 4 4v6', eye: 'M2 12s3.5-6.5 10-6.500S22 12 22 12s-3.5 6.5-10 6.500S2 12 2 12zM12 15a3 3 0 1 0 0-6 3 3 0 0 0 0 6z',
	help: 'M9.5 9a2.5 2.5 0 1 1 3.6 2.300c-.8.4-1.1 1-1.1 1.900M12 17h.01M21 12a9 9 0 1 1-18 0 9 9 0 0 1 18 0z',
	sword: 'M20 4l-9.5 9.500M20 4h-4L8 12M20 4v4l-8 8M6 13l5 5M8.5 15.500L4 20', hand: 'M8 12V6.500a1.5 1.5 0 0 1 3 0V11M11 11V5a1.5 1.5 0 0 1 3 0v6M14 11V6.500a1.5 1.5 0 0 1 3 0V15a6 6 0 0 1-6 6c-3 0-4.5-2-6-5l-1-2a1.5 1.5 0 0 1 2.5-1.500L8 14',
	gem: 'M6 4h12l3 5-9 11L3 9zM3 9h18M9 9l3 11 3-11', box: 'M4 8l8-4 8 4v8l-8 4-8-4zM4 8l8 4 8-4M12 12v8',
	calendar: 'M5 6h14v14H5zM5 10h14M9 4v4M15 4v4', list: 'M8 6h12M8 12h12M8 18h12M4 6h.01M4 12h.01M4 18h.01', undo: 'M4 9h10a5 5 0 0 1 0 10H9M4 9l4-4M4 9l4 4', trash: 'M5 7h14M10 4h4M7 7l1 13h8l1-13',
	heart: 'M12 20s-7-4.6-9-9a4.7 4.7 0 0 1 9-3 4.7 4.7 0 0 1 9 3c-2 4.4-9 9-9 9z', menu: 'M4 7h16M4 12h16M4 17h16'
};

/** An icon; it says nothing, the words beside it do. */
export function icon(name) {
	return svg('svg', { class: 'icon', viewBox: '0 0 24 24', 'aria-hidden': 'true', focusable: 'false' }, svg('path', { d: PATHS[name] ?? PATHS.dot }));
}

const STATUS_ICONS = { Pending: 'dot', Running: 'play', Suspended: 'pause', Completed: 'check', Failed: 'alert', Terminated: 'stop' };

/** A status: icon, word and colour. */
export function statusBadge(status, word) {
	return h('span', { class: `status ${status ?? 'none'}` }, icon(STATUS_ICONS[status] ?? 'dot'), word ?? status ?? 'Not begun');
}
