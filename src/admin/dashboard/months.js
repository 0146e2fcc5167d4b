/*
 * months: the main view. How far the whole is and what it still takes, and every month of it.
 */
import { el, clear, fmt, monthsOf, setText, STATUS, statusMark } from './dom.js';
import { Grid } from './grid.js';
import { LAYERS } from './layers.js';

const STAGES = ['claimed', 'generating', 'saving', 'resolving', 'queueing'];
const FIGURES = [
	['books', 'Books'], ['isbns', 'ISBNs'], ['rate', 'Found'], ['queued', 'Queued'], ['cost', 'Spent'],
	['cost-left', 'Still to come']
];
const SEGMENTS = ['completed', 'failed', 'processing', 'retry'];

/* The layer and the filter outlive the view, as long as the tab is not locked. */
const kept = { layer: 'status', only: new Set(), month: null };

/* Calls one of the dialogs; the module is loaded when the first one is needed. */
async function act(ctx, name) {
	try {
		const actions = await import('./actions.js');
		await actions[name](ctx);
	} catch (error) {
		ctx.toast(`This action could not be opened: ${error.message}`, 'error');
	}
}

/* A button of the header. */
function action(ctx, name, label, primary = false) {
	return el('button', { type: 'button', class: primary ? 'primary' : null, dataset: { test: `action-${name}` },
		on: { click: () => act(ctx, name === 'retry' ? 'retryWhere' : name) } }, label);
}

/* How long it takes, and why. */
function timeLeft({ state, total, seconds_left: seconds, ends_at: ends, left }) {
	if (left === 0)
		return total > 0 ? 'Nothing left to do' : 'Seed a range of years to begin';
	if (state === 'paused')
		return 'Paused: no time to say';
	if (seconds === null)
		return 'No time can be said';
	const day = ends && seconds > 43200 ? { weekday: 'short', hour: '2-digit', minute: '2-digit', hourCycle: 'h23' } :
		{ hour: '2-digit', minute: '2-digit', hourCycle: 'h23' };
	const until = ends ? `, until ${new Date(ends).toLocaleString(undefined, day)}` : '';
	return `About ${fmt.duration(seconds)} left${until}`;
}

/* ---- the top ---- */

/* Percent, bar, time, actions and figures. */
class Top {
	#segments = {};
	#figures = {};

	constructor(ctx) {
		this.percent = el('p', { class: 'percent', dataset: { test: 'percent' } });
		this.left = el('p', { class: 'left', dataset: { test: 'left' } });
		this.time = el('span', { dataset: { test: 'time-left' } });
		this.binds = el('span', { class: 'muted', dataset: { test: 'binds' } });
		this.bar = el('div', { class: 'bar', role: 'progressbar', 'aria-label': 'Months done', 'aria-valuemin': 0,
			'aria-valuemax': 100 });
		for (const name of SEGMENTS) {
			this.#segments[name] = el('span', { dataset: { status: name } });
			this.bar.append(this.#segments[name]);
		}
		this.buttons = {
			schedule: action(ctx, 'schedule', 'Schedule…', true),
			retry: action(ctx, 'retry', 'Retry…'),
			pause: action(ctx, 'pause', 'Pause…'),
			resume: action(ctx, 'resume', 'Resume'),
			seed: action(ctx, 'seed', 'Seed…', true)
		};
		this.figures = el('dl', { class: 'figures' });
		for (const [name, label] of FIGURES) {
			this.#figures[name] = el('dd', { dataset: { test: `stat-${name}` }, text: fmt.none });
			this.figures.append(el('div', {}, el('dt', { text: label }), this.#figures[name]));
		}
		this.node = el('section', { class: 'progress', 'aria-label': 'Progress' },
			el('div', { class: 'headline' }, this.percent, el('div', { class: 'lines' }, this.left,
				el('p', { class: 'time' }, this.time, ' ', this.binds)),
			el('div', { class: 'actions' }, Object.values(this.buttons))),
			this.bar);
	}

	update(overview, counts) {
		const { progress: p, paused } = overview;
		setText(this.percent, `${p.percent.toFixed(1)} %`);
		setText(this.left, p.total === 0 ? 'No months yet' :
			p.left === 0 ? `All ${fmt.count(p.total, 'month')} done` : `${fmt.int(p.left)} of ${fmt.count(p.total, 'month')} left`);
		setText(this.time, timeLeft(p));
		setText(this.binds, p.binds && p.left > 0 ? p.binds : '');
		this.#paintBar(p, counts);
		this.#paintFigures(overview);
		this.buttons.schedule.hidden = this.buttons.retry.hidden = p.total === 0;
		this.buttons.seed.hidden = p.total !== 0;
		this.buttons.pause.hidden = paused !== null;
		this.buttons.resume.hidden = paused === null;
	}

	#paintBar(p, counts) {
		for (const name of SEGMENTS)
			this.#segments[name].style.setProperty('--share', p.total > 0 ? `${100 * counts[name] / p.total}%` : '0%');
		this.bar.setAttribute('aria-valuenow', p.percent);
		this.bar.setAttribute('aria-valuetext', `${p.percent} percent: ${counts.completed} completed, ${counts.failed} failed, ` +
			`${counts.processing} in flight, ${counts.retry} waiting for a retry, ${counts.pending} pending`);
	}

	#paintFigures({ stats, progress }) {
		const values = {
			books: fmt.int(stats.progress.total_books_generated), isbns: fmt.int(stats.progress.total_isbns_resolved),
			rate: fmt.pct(stats.progress.overall_resolution_rate), queued: fmt.int(stats.progress.total_isbns_queued),
			cost: fmt.usd(progress.cost_so_far_usd), 'cost-left': fmt.usd(progress.cost_left_usd)
		};
		for (const [name] of FIGURES)
			setText(this.#figures[name], values[name]);
	}
}

/* ---- the side: layer, legend, filter ---- */

class Side {
	#chips = new Map();

	constructor(figures, onLayer, onFilter) {
		this.layer = el('select', { id: 'layer', dataset: { test: 'layer' }, value: kept.layer,
			on: { change: () => onLayer(this.layer.value) } },
		LAYERS.map(layer => el('option', { value: layer.id, text: layer.name })));
		this.legend = el('div', { class: 'legend', dataset: { test: 'legend' } });
		this.chips = el('div', { class: 'chips', role: 'group', 'aria-label': 'Show only months that are' });
		for (const status of Object.keys(STATUS)) {
			const count = el('b', { dataset: { test: `stat-${status}` }, text: '0' });
			const chip = el('button', { type: 'button', class: 'chip', 'aria-pressed': kept.only.has(status),
				dataset: { test: `filter-${status}` }, on: { click: () => onFilter(status, chip) } },
			statusMark(status, { name: true }), count);
			this.#chips.set(status, count);
			this.chips.append(chip);
		}
		this.panel = el('div', { class: 'panel' }, el('label', { for: 'layer', text: 'Colour by' }), this.layer,
			this.legend);
		this.node = el('aside', { class: 'side', 'aria-label': 'What the grid shows' }, figures, this.panel, this.chips);
	}

	counts(counts) {
		for (const [status, node] of this.#chips)
			setText(node, fmt.int(counts[status]));
	}

	/* The scale of a layer and what it means. */
	explain(layer, scale) {
		clear(this.legend).append(el('p', { class: 'muted', text: layer.meaning }));
		const words = layer.ticks(scale);
		if (words.length === 0)
			return;
		this.legend.append(el('ol', { class: 'scale', 'aria-label': `Scale: ${layer.name}` },
			words.map((word, i) => el('li', { dataset: { bin: i } }, el('span', { text: word })))),
		el('p', { class: 'muted unknown' }, el('span', { class: 'swatch', dataset: { bin: 'none' }, 'aria-hidden': true }),
			'not known yet'));
	}
}

/* ---- the view ---- */

/* What to do when there is nothing to show, or nothing left to do. */
function emptyText(overview) {
	const { state, total, cost_so_far_usd: cost } = overview.progress;
	if (state === 'empty' || total === 0)
		return 'There are no months yet. Seed… makes a row for each month of a range of years; Schedule… then runs them.';
	if (state === 'done')
		return `Every month is done: ${fmt.int(overview.stats.progress.total_books_generated)} books, ` +
			`${fmt.int(overview.stats.progress.total_isbns_resolved)} ISBNs, ${fmt.usd(cost)} spent.`;
	return '';
}

/* What an event says about its month; null when only the next overview can tell. */
function changeOf({ to }) {
	if (STAGES.includes(to))
		return { status: 'processing', stage: to };
	return Object.hasOwn(STATUS, to) ? { status: to, stage: to } : null;
}

/* How many months there are of each status. */
function countOf(months) {
	const counts = Object.fromEntries(Object.keys(STATUS).map(status => [status, 0]));
	for (const { status } of months)
		counts[status] = (counts[status] ?? 0) + 1;
	return counts;
}

export function open(ctx) {
	const top = new Top(ctx);
	const hint = el('p', { class: 'describe', dataset: { test: 'describe' } });
	const note = el('p', { class: 'empty', dataset: { test: 'empty' }, hidden: true });
	const idle = 'Arrow keys move from month to month, Enter opens one.';
	const grid = new Grid((year, month) => {
		kept.month = `${year}-${String(month).padStart(2, '0')}`;
		ctx.go(`#/month/${kept.month}`);
	}, text => setText(hint, text ?? idle));
	const layerOf = () => LAYERS.find(layer => layer.id === kept.layer) ?? LAYERS[0];
	const side = new Side(top.figures, id => {
		kept.layer = id;
		grid.show(layerOf(), monthsOf(ctx.overview()));
		side.explain(layerOf(), grid.scale);
		ctx.say(`Months are coloured by ${layerOf().name.toLowerCase()}`);
	}, (status, chip) => {
		if (!kept.only.delete(status))
			kept.only.add(status);
		chip.setAttribute('aria-pressed', String(kept.only.has(status)));
		grid.only(kept.only);
	});
	let scale = null;

	setText(hint, idle);
	grid.only(kept.only);
	grid.show(layerOf(), []);
	return {
		node: el('div', { class: 'months' }, el('h1', { class: 'sr', text: 'Months' }), top.node, side.node,
			el('section', { class: 'grid-area', 'aria-label': 'All months' }, note, grid.node, hint)),
		title: 'Months',
		update(overview) {
			const months = monthsOf(overview);
			const counts = countOf(months);
			top.update(overview, counts);
			side.counts(counts);
			grid.update(months, Date.parse(overview.now) / 1000);
			if (String(grid.scale) !== scale) {
				scale = String(grid.scale);
				side.explain(layerOf(), grid.scale);
			}
			setText(note, emptyText(overview));
			note.hidden = note.textContent === '';
			grid.node.hidden = hint.hidden = side.panel.hidden = side.chips.hidden = months.length === 0;
		},
		event({ data }) {
			const change = changeOf(data);
			if (change)
				grid.patch(data.year, data.month, change);
		}
	};
}
