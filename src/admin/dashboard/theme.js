/*
 * theme: light and dark. The system's choice counts until the reader makes another, which this browser keeps.
 */
import { el } from './dom.js';

const KEY = 'backfill.theme';
const dark = matchMedia('(prefers-color-scheme: dark)');

/* The stored choice; storage may be forbidden. */
function stored() {
	try {
		const theme = localStorage.getItem(KEY);
		return theme === 'dark' || theme === 'light' ? theme : null;
	} catch {
		return null;
	}
}

/* What is shown now. */
function current() {
	return stored() ?? (dark.matches ? 'dark' : 'light');
}

/* Makes the page look so. */
function apply() {
	document.documentElement.dataset.theme = current();
}

/* The button that changes between the two. */
export function themeButton() {
	const other = () => document.documentElement.dataset.theme === 'dark' ? 'light' : 'dark';
	const label = () => `Switch to the ${other()} theme`;
	const button = el('button', { type: 'button', class: 'quiet icon', dataset: { test: 'theme' }, title: label(),
		'aria-label': label(), text: '◐', on: { click: () => {
			const next = other();
			try {
				localStorage.setItem(KEY, next);
			} catch {
				/* it holds until the page is left */
			}
			document.documentElement.dataset.theme = next;
			button.title = label();
			button.setAttribute('aria-label', label());
		} } });
	return button;
}

dark.addEventListener('change', apply);
apply();
