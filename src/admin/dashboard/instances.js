/*
 * instances: the processes at work on this database, and what each of them holds.
 */
import { fmt } from './dom.js';
import { badge, bdi, cut, grid, monthLink, muted, page, tags, when } from './panels.js';

export function open(ctx) {
	return page(ctx, 'Instances', { paint: o => grid('Instances on this database',
		['Instance', 'State', 'Months it holds', '#Items', 'Host', '#PID', 'Version', 'Since'], o.instances.map(i => [
			[bdi(i.instance, 60), i.self ? muted(' (this one)') : null],
			i.alive ? badge('good', 'alive') : badge('bad', 'gone'),
			i.months?.length > 0 ? tags(i.months.map(m => [monthLink(m.year, m.month), ` ${cut(m.stage, 20)}`])) : fmt.none,
			fmt.int(i.items), cut(i.host, 60), String(i.pid), cut(i.version, 20), when(i.since, o.now)])) });
}
