"""The text of the bench: source code such as agents write, of any size, the same in every run."""

from itertools import count

PIECES = (
    '''
def area_{n}(shape: "Shape", scale: float = 1.0) -> float:
    """The area of a shape; it's 0 for a point, and < 0 never."""
    if shape.sides < 3 or scale <= 0:
        raise ValueError(f"no area: {shape!r}")
    return {"circle": 3.14, "square": 1.0}.get(shape.name, 0.5) * scale ** 2
''',
    """
export const Row{n}: React.FC<Props> = ({ items, onSelect }) => (
  <ul className="row row-{n}">
    {items.map((it) => <li key={it.id} onClick={() => onSelect?.(it)}>{it.title ?? '-'} → {it.price} €</li>)}
  </ul>
);
""",
    r"""
static const char *message_{n} = "line one\n\tline \"two\"\\";
if (a < b && c > d[{n}]) { printf("%s: %d\n", message_{n}, a << 2); } /* größer */
""",
    """
## Étape {n}: déployer 🚀

| Größe | 値段 | <b>bold</b> |
|---|---|---|
| {n} cm | ¥{n}00 | `make -j4 && ./run --name="x" | tee out.log` |

""",
)


def source(size: int) -> str:
    """Source code of `size` characters."""
    parts: list[str] = []
    length = 0
    for n in count():
        if length >= size:
            break
        parts.append(PIECES[n % len(PIECES)].replace("{n}", str(n)))
        length += len(parts[-1])
    return "".join(parts)[:size]
