/*
 * grid: the months as a table of years by months. Rows are built once; afterwards only cells whose content differs are
 * touched, so that two hundred years cost no more than twenty-five. Arrow keys move, Enter opens, one cell is in the tab
 * order.
 */
import { el, fmt, monthKey } from './dom.js';
import { LAYERS, sentence } from './layers.js';
import { STATUS } from './dom.js';

const PAGE_ROWS = 10;

export class Grid {
	#cells = new Map();	/* "2024-12" -> {node, month, signature} */
	#rows = new Map();	/* year -> tr */
	#years = [];		/* newest first */
	#body;
	#current = null;	/* the key that Tab reaches */
	#layer = LAYERS[0];
	#scale = [];
	#now = 0;
	#onOpen;
	#onPoint;
	#pointed = null;	/* the cell that is described */

	/* onOpen(year, month); onPoint(text or null) when the pointer or the focus is on a month. */
	constructor(onOpen, onPoint) {
		this.#onOpen = onOpen;
		this.#onPoint = onPoint;
		const heads = Array.from({ length: 12 }, (_, i) => el('th', { role: 'columnheader', scope: 'col',
			'aria-label': fmt.monthName(i + 1) }, fmt.monthName(i + 1)[0],
			el('span', { text: fmt.monthName(i + 1).slice(1, 3) })));
		this.#body = el('tbody', { role: 'rowgroup' });
		this.table = el('table', { class: 'grid', role: 'grid', 'aria-label': 'Months', 'aria-readonly': true,
			dataset: { test: 'grid', layer: 'status' } },
		el('thead', { role: 'rowgroup' }, el('tr', { role: 'row' },
			el('th', { role: 'columnheader', scope: 'col', text: 'Year' }), heads)),
		this.#body);
		this.node = el('div', { class: 'grid-box' }, this.table);
		this.#listen();
	}

	#listen() {
		const at = event => this.#cells.get(event.target.dataset?.month);
		this.#body.addEventListener('click', event => this.#open(at(event)));
		this.#body.addEventListener('keydown', event => this.#key(event));
		this.#body.addEventListener('focusin', event => {
			const cell = at(event);
			if (cell)
				this.#makeCurrent(cell);
			this.#point(cell);
		});
		this.#body.addEventListener('pointerover', event => this.#point(at(event)));
		this.#body.addEventListener('pointerleave', () => this.#point(this.#cells.get(document.activeElement?.dataset.month)));
		this.#body.addEventListener('focusout', () => this.#point(null));
	}

	#point(cell) {
		this.#pointed = cell;
		this.#onPoint(cell ? cell.label : null);
	}

	#open(cell) {
		if (cell)
			this.#onOpen(cell.month.year, cell.month.month);
	}

	/* ---- content ---- */

	/* Shows these months, now in seconds of the database's clock. */
	update(months, now) {
		this.#now = now;
		this.#scale = this.#layer.prepare(months);
		const keys = new Set();
		for (const month of months) {
			const key = monthKey(month.year, month.month);
			keys.add(key);
			this.#paint(this.#cells.get(key) ?? this.#add(key, month), month);
		}
		for (const [key, cell] of this.#cells) {
			if (!keys.has(key))
				this.#remove(key, cell);
		}
		if (this.#pointed)
			this.#point(this.#pointed);
		if (!this.#cells.has(this.#current) && months.length > 0)
			this.#makeCurrent(this.#cells.get(monthKey(months[0].year, months[0].month)));
	}

	/* Changes one month between two overviews. */
	patch(year, month, change) {
		const cell = this.#cells.get(monthKey(year, month));
		if (cell)
			this.#paint(cell, { ...cell.month, ...change, at: Math.max(cell.month.at ?? 0, this.#now) });
	}

	/* Repaints for another layer. */
	show(layer, months) {
		this.#layer = layer;
		this.table.dataset.layer = layer.id;
		this.update(months, this.#now);
	}

	/* The scale in use, for the legend. */
	get scale() {
		return this.#scale;
	}

	/* Dims all months but those of these states; none: all are shown. */
	only(statuses) {
		for (const status of Object.keys(STATUS))
			this.table.classList.toggle(`dim-${status}`, statuses.size > 0 && !statuses.has(status));
	}

	#paint(cell, month) {
		const layer = this.#layer;
		const step = layer.step(month, this.#scale, this.#now);
		const value = layer.cell(month, this.#now);
		const label = sentence(month, layer, this.#now);
		const signature = `${layer.id} ${month.status} ${month.stage} ${step} ${value} ${label}`;
		cell.month = month;
		if (cell.signature === signature)
			return;
		cell.signature = signature;
		cell.label = label;
		const { node } = cell;
		const old = node.dataset;
		if (old.status !== month.status) {
			old.status = month.status;
			node.textContent = STATUS[month.status]?.letter ?? '?';
		}
		const stage = month.status === 'processing' ? month.stage ?? '' : '';
		if (old.stage !== stage)
			old.stage = stage;
		const bin = layer.id === 'status' ? '' : step === null ? 'none' : String(step);
		if (old.bin !== bin)
			old.bin = bin;
		if (old.value !== value)
			old.value = value;
		node.setAttribute('aria-label', label);
	}

	/* Makes the cell of a month, and its row when it is the first of its year. */
	#add(key, { year, month }) {
		const row = this.#rows.get(year) ?? this.#addRow(year);
		const node = row.children[month];
		node.dataset.month = key;
		node.tabIndex = -1;
		node.classList.remove('gap');
		const cell = { node, month: null, signature: '', label: '' };
		this.#cells.set(key, cell);
		return cell;
	}

	#addRow(year) {
		const row = el('tr', { role: 'row', class: year % 10 === 9 ? 'decade' : null },
			el('th', { role: 'rowheader', scope: 'row', text: year }),
			Array.from({ length: 12 }, () => el('td', { role: 'gridcell', class: 'gap' })));
		const before = this.#years.findIndex(other => other < year);
		this.#rows.set(year, row);
		if (before < 0) {
			this.#years.push(year);
			this.#body.append(row);
		} else {
			this.#body.insertBefore(row, this.#rows.get(this.#years[before]));
			this.#years.splice(before, 0, year);
		}
		return row;
	}

	#remove(key, cell) {
		const row = cell.node.parentNode;
		cell.node.replaceWith(el('td', { role: 'gridcell', class: 'gap' }));
		this.#cells.delete(key);
		if (!row.querySelector('[data-month]')) {
			const year = Number(key.slice(0, 4));
			row.remove();
			this.#rows.delete(year);
			this.#years = this.#years.filter(other => other !== year);
		}
	}

	/* ---- keys ---- */

	#makeCurrent(cell) {
		const old = this.#cells.get(this.#current);
		if (old && old !== cell)
			old.node.tabIndex = -1;
		cell.node.tabIndex = 0;
		this.#current = cell.node.dataset.month;
	}

	/* The nearest month from a place on in a direction; null at the edge. */
	#seek(row, column, rowStep, columnStep) {
		while (row >= 0 && row < this.#years.length && column >= 1 && column <= 12) {
			const cell = this.#cells.get(monthKey(this.#years[row], column));
			if (cell)
				return cell;
			row += rowStep;
			column += columnStep;
		}
		return null;
	}

	/* Where a key leads from a month. */
	#target(event, { year, month }) {
		const row = this.#years.indexOf(year);
		const last = this.#years.length - 1;
		switch (event.key) {
		case 'ArrowLeft': return this.#seek(row, month - 1, 0, -1);
		case 'ArrowRight': return this.#seek(row, month + 1, 0, 1);
		case 'ArrowUp': return this.#seek(row - 1, month, -1, 0);
		case 'ArrowDown': return this.#seek(row + 1, month, 1, 0);
		case 'PageUp': return this.#seek(Math.max(0, row - PAGE_ROWS), month, 1, 0);
		case 'PageDown': return this.#seek(Math.min(last, row + PAGE_ROWS), month, -1, 0);
		case 'Home': return this.#seek(event.ctrlKey ? 0 : row, 1, 0, 1);
		case 'End': return this.#seek(event.ctrlKey ? last : row, 12, 0, -1);
		default: return undefined;
		}
	}

	#key(event) {
		const cell = this.#cells.get(event.target.dataset?.month);
		if (!cell || event.altKey || event.metaKey)
			return;
		if (event.key === 'Enter' || event.key === ' ') {
			event.preventDefault();
			this.#open(cell);
			return;
		}
		const target = this.#target(event, cell.month);
		if (target === undefined)
			return;
		event.preventDefault();
		target?.node.focus();
	}

	/* Puts the focus on a month, or on the one Tab would reach. */
	focus(key = this.#current) {
		this.#cells.get(key)?.node.focus();
	}
}
