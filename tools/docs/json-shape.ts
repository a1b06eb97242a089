import * as z from 'zod';

/** The parts of JSON Schema that zod's own shapes turn into. */
const schema = z.object({
  type: z.union([z.string(), z.array(z.string())]).optional(),
  const: z.unknown().optional(),
  enum: z.array(z.unknown()).optional(),
  description: z.string().optional(),
  get anyOf() {
    return z.array(schema).optional();
  },
  get properties() {
    return z.record(z.string(), schema).optional();
  },
  required: z.array(z.string()).optional(),
  get items() {
    return schema.optional();
  },
  get additionalProperties() {
    return z.union([schema, z.boolean()]).optional();
  },
});
type Schema = z.infer<typeof schema>;

/**
 * The shape of a JSON value for people: JSON with types in the place of values, `?` behind members that can be absent, and the
 * schema's own descriptions as comments.
 */
export function jsonShape(of: z.ZodType): string {
  return shape(schema.parse(z.toJSONSchema(of, { io: 'output' })), '');
}

function shape(of: Schema, indent: string): string {
  const deeper = `${indent}  `;
  if (of.const !== undefined) return JSON.stringify(of.const);
  if (of.enum !== undefined) return of.enum.map((word) => JSON.stringify(word)).join(' | ');
  if (of.anyOf !== undefined) return of.anyOf.map((one) => shape(one, indent)).join(' | ');
  if (of.type === 'array') return of.items === undefined ? '[]' : `[\n${deeper}${shape(of.items, deeper)}, ...\n${indent}]`;
  if (of.type !== 'object') return typeof of.type === 'string' ? of.type : (of.type?.join(' | ') ?? 'any');
  const required = new Set(of.required);
  const members = Object.entries(of.properties ?? {}).map(([name, member]) => {
    const line = `${deeper}"${name}"${required.has(name) ? '' : '?'}: ${shape(member, deeper)}`;
    return member.description === undefined ? line : `${deeper}// ${member.description}\n${line}`;
  });
  if (typeof of.additionalProperties === 'object') members.push(`${deeper}"...": ${shape(of.additionalProperties, deeper)}`);
  return members.length === 0 ? '{}' : `{\n${members.join(',\n')}\n${indent}}`;
}
