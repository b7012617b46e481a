"""The words of queries: which concept a word belongs to, by its stem, its typo or the other keyboard layout.

One line a concept: its name, then the stems of its words. `stem=` takes no ending. The longest stem that fits wins, so
that `транзисторная` is not a transistor.
"""

from __future__ import annotations

from functools import lru_cache

from orchestrator.parts.ru.letters import fold, other_layout
from orchestrator.parts.ru.typos import Lexicon

# fmt: off
CONCEPTS = """
resistor      резистор резюк резик сопротивлени resistor= resistors= res= резистер рез=
resistor      сопр= р-р= р-ры= р-ров=
resistor_adj  резисторн
capacitor     конд= кон-р= к-р= к-ры= конд-р=
capacitor     конденсатор кондер кондюк конденсат кондик емкост capacitor capacitance= cap= caps= кондёр condenser
capacitor_adj конденсаторн
inductor      дроссел дрос= индукт= дросел индуктивност inductor= inductors= choke= катушк coil=
diode         диод диот диотд деод diode= diodes=
diode_adj     диодн
transistor    транзистор тр-р= тр-ры= тр-ров= транз= тран-р= транзюк= transistor= transistors= транзюк
transistor_adj транзисторн
thyristor     тиристор thyristor= thyristors= scr= тринистор
triac         симистор семистор триак triac= triacs= симмистор
diac          динистор diac=
optocoupler   оптосимистор оптотиристор оптодрайвер оптопар оптрон
optocoupler   оптоизолятор optocoupler= optocouplers= optoisolator= optron= photocoupler=
ic            микросхем микрух микросх м/с= м/сх= м-с= мс-ма= мкс= мсх= имс= ис= чипы= микрочип ic= ics=
ic            микросборк integrated=
circuit       circuit=
trimming      подстроечн подстроч построечн подстр= подст= подстрой=
trimmer       подстроечник подстроечник trimmer= trimpot= trimmers= тример триммер
variable      переменн перем= пер= регулировочн регулируем adjustable=
variable_r    переменник potentiometer potentiometers= потенциометр реостат pot= крутилк
network       сборк матриц array= network= набор
chip          чип чипов chip=
smd           сmd= smd= смд= smt= поверхностн чип-
ceramic       керамическ кер= керамик керам= mlcc= ceramic= кералл
el            эл= электр=
electrolytic  эл-лит= эл-т= электролит-кий=
electrolytic  электролитическ электролит оксидн electrolytic= алюминиев aluminum= aluminium=
tantalum      танталов тант= тантал tantalum=
film          пленочн пленк полипропиленов лавсанов полиэстер полиэтилентерефталат
film          металлопленочн металлизирован film= polypropylene= polyester= майларов
polymer       полимерн твердотельн-полимерн polymer=
mica          слюдян mica=
paper         бумажн металлобумажн
super         ионистор суперконденсатор supercapacitor= supercap= ultracapacitor= суперкап
safety        помехоподавляющ помехоподав
starting      пусков
nonpolar      неполярн
inductance_of индуктивност
ferrite       ферритов феррит ferrite=
bead          бусин бусинк шарик bead= beads= бид=
ring          кольцо кольца сердечник core=
common        синфазн common=
mode          mode=
transformer   трансформатор трансформ транс= transformer transformers=
schottky      шоттки шотки шоттке шотке schottky= schotky= shottky= шотка=
zener         стабилитрон стаб-н= стаб-рон= стабилитр= стабик zener= zeners= зенер
tvs           супрессор сапрессор трансил tvs= suppressor= transil= защитн
bridge        мост мостик bridge= диодмост
rectifier     выпрямительн rectifier= выпрямител
light         светоизлучающ
led           светодиод светик led= leds= сид= светодиодик
led_adj       светодиодн
photodiode    фотодиод photodiode=
phototransistor фототранзистор phototransistor=
photoresistor фоторезистор photoresistor= ldr=
laser         лазерн лазер laser=
varicap       варикап varicap= varactor=
bipolar       биполярн биполярник bjt= bipolar= биполяр
field         полев полевик mosfet= mosfets= мосфет fet= мосфит моп= мдп= моп-транзистор
jfet          jfet=
igbt          igbt= бтиз= igbts= айджибити
npn           npn= н-п-н= n-p-n=
pnp           pnp= p-n-p= п-н-п=
nch           n-канал n-channel= nchannel= n-ch= n-кан н-канал n-mos= nmos= n-mosfet=
pch           p-канал p-channel= pchannel= p-ch= p-кан п-канал р-канал p-mos= pmos= p-mosfet= р-кан
darlington    составн дарлингтон darlington=
opamp         опер= операционник операционн opamp= opamps= op-amp= оу= operational= опамп
amplifier     усилител amplifier= унч= амплифай amp=
op            op=
comparator    компаратор comparator= comparators=
mcu           микроконтроллер мк= контроллер mcu= microcontroller= microcontrollers= микроконтролер контролер
cpu           процессор проц= процик микропроцессор microprocessor= cpu= processor=
adc           ацп= adc=
dac           цап= dac=
eeprom        eeprom= еепром= ээппзу= эсппзу=
memory        памят озу= пзу= ппзу= flash= флеш флэш memory= sram= fram= dram=
fpga          плис= fpga= cpld=
timer         таймер timer=
driver        драйвер driver= drivers=
gate          затвор gate=
motor         двигател мотор motor= шаговик
transceiver   приемопередатчик трансивер transceiver=
regulator     стабилизатор стабилизат regulator= regulators= кренк крен= регулятор стаб= кренки=
voltage       напряжени voltage=
linear        линейн linear= ldo=
lowdrop       малопаден
switching     импульсн switching=
reference     опорн reference= ион=
converter     преобразовател converter= конвертер конвертор
dcdc          dc-dc= dcdc= dc/dc= дс-дс= дс/дс= dc-dc-преобразователь
acdc          ac-dc= ac/dc= acdc=
buck          понижающ buck= step-down= понижайк
boost         повышающ boost= step-up= повышайк
pwm           шим= pwm= шим-контроллер
supervisor    супервизор supervisor=
logic         логическ логик logic= вентил
flipflop      триггер flip-flop=
register      регистр register=
shift         сдвигов shift=
counter       счетчик counter=
decoder       дешифратор decoder=
mux           мультиплексор демультиплексор multiplexer= mux=
buffer        буфер buffer=
inverter      инвертор inverter=
levels        уровн
quartz        кварцев
crystal       кварц crystal= crystals= xtal=
watch         часов watch=
resonator     резонатор resonator= resonators=
generator     генератор oscillator= oscillators= осциллятор
saw           пав= пав-фильтр saw=
filter        фильтр filter=
fuse          предохранител предохран пр-ль= предохр= fuse= fuses= плавк пред=
thermal       термопредохранител термопред=
hot           thermal=
resettable    самовосст=
resettable    самовосстанавлив самовостанавлив resettable= polyfuse= полисвитч полифьюз polyswitch= восстанавливаем
ptc           ptc= позистор птс=
ntc           ntc= нтс=
thermistor    термистор терморезистор thermistor= thermistors= термосопротивлени
varistor      варистор varistor= varistors= mov=
arrester      разрядник gdt= arrester= искров
sense         токоизмерительн шунт shunt= shunts=
relay         рэле= риле= релле= реле= реле реюшк релюх релюшк relay= relays= релейк
relay_adj     релейн
solid         твердотельн solid= ssr= ттр=
state         state=
reed          герконов герконн reed=
reed_switch   геркон
button        кнопк button= buttons= pushbutton= push-button= кнопочк
tactile       тактов тактильн tactile= tact=
toggle        тумблер toggle=
switch        переключател выключател перекл= выкл= switch= switches=
switch        микропереключател микровыключател микрик концевик галетник
dip_switch    dip-переключател дип-переключател dip-switch=
dip           dip= дип=
limit         концев
encoder       энкодер encoder= енкодер
connector     раз-м= разъёмчик
connector     разъем разьем разем разёмчик соединител коннектор connector= connectors= джек= клемма-
plug          вилк штекер plug= штеккер папа= папы= штыр
jack          гнезд розетк jack= мама= мамы=
socket        панельк панел сокет socket= sockets= кроватк
pins_adj      штырев штыревая
pin           pin=
header        линейк гребенк header= headers= pls= гребёнк пинхедер штырьк
jumper        джампер перемычк jumper= jumpers=
female_header pbs=
board         плат
terminal      клеммник клемник клемм клем клеммн terminal= terminals=
block         колодк блок block= blocks=
holder        держател держалк холдер holder= отсек кассет бокс
battery       батарейк батаре аккумулятор акб= battery= batteries= крона= акум аккум
battery_adj   батарейн
of_supply     питани supply= питалк
source        источник power=
adapter       адаптер
element       элемент
sensor        датчик сенсор sensor= sensors= датчк
temperature   температур temperature= термодатчик
hall          холл hall=
current_of    ток= тока= токов
pressure      давлени
humidity      влажност
motion        движени
light_of      освещенност
thermocouple  термопар thermocouple=
microphone    микрофон microphone=
speaker       динамик speaker= громкоговорител
buzzer        зуммер зумер пищалк бузер баззер пьезоизлучател
buzzer        пьезопищалк звукоизлучател buzzer= buzzers= пьезодинамик пьезозуммер пищал
radiator      радиатор heatsink= теплоотвод
fan           вентилятор кулер fan=
lcd_adj       жк=
display       диспле дисплэ индикатор экран= lcd= oled= tft= жки= display= displays= экранчик
seven         семисегментн 7-сегментн seven-segment=
antenna       антенн antenna=
module        модул module=
cable         шлейф кабел cable= провод
enclosure     enclosure=
glass         стеклянн glass=
screw         винтов screw=
powerful      мощн
highvoltage   высоковольтн
fast          быстродействующ быстр
ultrafast     ультрабыстр
wirewound     проволочн
carbon        углеродист углеродн
metalfilm     металлопленочн металлодиэлектрич
thick         толстопленочн
precision     прецизионн точн
multiturn     многооборотн
through       выводн выводной= tht=
angled        углов
latching      фиксаци
lowesr        низкоимпедансн
bicolor       двухцветн двуцветн
surge         ограничител
linear_pot    движков ползунков слайдер slide= sliding=
rotary        галетн поворотн rotary=
cells         ячейк
superbright   яркий яркие сверхярк суперъярк ярк
isolated      изолированн
rail          rail-to-rail=
"""

# what a word that makes no type adds to the English text
ENGLISH: dict[str, str] = {
    "chip": "chip", "smd": "SMD", "glass": "glass", "screw": "screw", "powerful": "power", "voltage": "voltage",
    "highvoltage": "high voltage", "fast": "fast", "ultrafast": "ultrafast", "wirewound": "wirewound",
    "carbon": "carbon film", "metalfilm": "metal film", "thick": "thick film", "precision": "precision",
    "multiturn": "multiturn", "through": "through hole", "angled": "right angle", "latching": "latching",
    "lowesr": "low ESR", "bicolor": "bicolor", "npn": "NPN", "pnp": "PNP", "nch": "N-channel", "pch": "P-channel",
    "darlington": "Darlington", "nonpolar": "non-polar", "starting": "motor start", "watch": "watch",
    "superbright": "super bright", "isolated": "isolated", "switching": "switching", "buck": "buck",
    "boost": "boost", "shift": "shift", "register": "register", "counter": "counter", "decoder": "decoder",
    "mux": "multiplexer", "flipflop": "flip-flop", "buffer": "buffer", "inverter": "inverter", "module": "module",
    "board": "PCB", "plug": "plug", "jack": "jack", "pwm": "PWM", "seven": "seven segment", "array": "array",
    "gate": "gate", "motor": "motor", "memory": "memory", "timer": "timer", "filter": "filter", "dip": "DIP",
    "polymer": "polymer", "rectifier": "rectifier", "linear": "linear", "ntc": "NTC", "ptc": "PTC",
    "temperature": "temperature", "led_adj": "LED", "solid": "solid state", "field": "MOSFET", "laser": "laser",
    "of_supply": "power", "current_of": "current", "pressure": "pressure", "humidity": "humidity", "led": "LED",
    "film": "film", "ceramic": "ceramic", "tactile": "tactile", "schottky": "Schottky", "bipolar": "bipolar",
    "opamp": "operational", "amplifier": "amplifier", "connector": "connector", "ferrite": "ferrite",
    "motion": "motion", "network": "array", "toggle": "toggle", "cable": "cable", "fan": "fan", "rail": "rail-to-rail",
    "tantalum": "tantalum", "reed": "reed", "generator": "oscillator", "logic": "logic", "surge": "surge",
    "light_of": "light", "battery": "battery", "sensor": "sensor", "relay": "relay", "transistor": "transistor",
    "resistor": "resistor", "capacitor": "capacitor", "diode": "diode", "display": "display", "switch": "switch",
    "button": "button", "resonator": "resonator", "crystal": "crystal", "quartz": "quartz", "mcu": "microcontroller",
    "driver": "driver", "converter": "converter", "regulator": "regulator", "transformer": "transformer",
    "inductor": "inductor", "limit": "limit", "safety": "safety", "common": "common mode",
    "electrolytic": "electrolytic",
    "pins_adj": "pin", "header": "header", "ic": "integrated circuit", "zener": "Zener", "tvs": "TVS",
    "reference": "reference", "igbt": "IGBT", "jfet": "JFET", "thermistor": "thermistor", "fuse": "fuse",
    "encoder": "encoder", "holder": "holder", "levels": "level", "hall": "Hall", "terminal": "terminal",
    "block": "block", "socket": "socket", "source": "source", "adapter": "adapter", "element": "element",
    "transceiver": "transceiver", "optocoupler": "optocoupler", "triac": "triac", "thyristor": "thyristor",
    "adc": "ADC", "dac": "DAC", "cpu": "processor", "antenna": "antenna", "ring": "core", "radiator": "heatsink",
    "enclosure": "enclosure", "comparator": "comparator", "varistor": "varistor", "speaker": "speaker",
    "microphone": "microphone", "buzzer": "buzzer", "linear_pot": "slide", "trimming": "trimmer",
    "variable": "adjustable", "transistor_adj": "transistor", "diode_adj": "diode", "resistor_adj": "resistor",
    "relay_adj": "relay", "battery_adj": "battery", "capacitor_adj": "capacitor", "paper": "paper",
    "mica": "mica", "op": "op", "dcdc": "DC-DC", "saw": "SAW", "lowdrop": "low dropout", "supervisor": "supervisor",
}

COLORS: dict[str, str] = {
    "красн": "red", "зелен": "green", "син": "blue", "голуб": "blue", "желт": "yellow", "бел": "white",
    "оранжев": "orange", "янтарн": "amber", "фиолетов": "purple", "розов": "pink", "черн": "black",
    "сер": "gray", "коричнев": "brown", "прозрачн": "clear", "бирюзов": "cyan", "пурпурн": "purple",
    "инфракрасн": "infrared", "ультрафиолетов": "ultraviolet",
}  # stems, which take an adjective's ending
COLORS_WHOLE: dict[str, str] = {
    "ик": "infrared", "ir": "infrared", "infrared": "infrared", "уф": "ultraviolet", "uv": "ultraviolet",
    "ultraviolet": "ultraviolet", "rgb": "rgb", "rgbw": "rgbw", "ргб": "rgb", "red": "red", "green": "green",
    "blue": "blue", "yellow": "yellow", "white": "white", "orange": "orange", "amber": "amber",
    "purple": "purple", "violet": "purple", "pink": "pink", "black": "black", "clear": "clear",
    "gray": "gray", "grey": "gray", "brown": "brown", "многоцветный": "rgb", "трехцветный": "rgb",
}
TEMPERED = {"тепл": "warm", "warm": "warm", "холодн": "cool", "cool": "cool", "нейтральн": "neutral"}

_STOP = (
    """в во на с со и или из от до для по под к у о об за при без над не а но же бы то как это что где чем
    купить куплю покупка нужен нужна нужно нужны надо ищу найти требуется требуются хочу подскажите есть ли сколько
    стоит цена цены стоимость почем недорого дешево дешевый оптом опт оптовый розница розницу наличие наличии склад
    складе со склада пожалуйста здравствуйте привет добрый день заказать заказ закажу доставка доставкой срочно
    аналог аналоги аналога замена замену даташит датащит datasheet документация описание характеристики параметры
    номинал номиналом сопротивлением емкость емкостью ёмкостью напряжение напряжением ток током мощность мощностью
    рабочее номинальное максимальное корпус корпусе корпуса корпусом типоразмер типоразмера размер размером размера
    тип типа типу марки марка серии серия фирмы фирма производства производитель производителя москва россия почта
    упаковка упаковку упаковки упаковок упак уп пачка бухта партия партию каждый рублей руб
    штук штука штуки шт штуку количество кол-во колво допуск допуском точность точностью шаг шагом частота частотой
    оригинал новый новые любой любая диаметр диаметром купить, мне нам вас у меня будет можно какой какая
    buy price need needed in stock with of for the a an and or to from please pcs pieces piece qty where find cheap
    case package pitch tolerance rated value analog equivalent new original want i my any"""
)
STOP = frozenset(_STOP.split())
PACKAGE_WORDS = frozenset(
    ("корпус", "корпусе", "корпуса", "корпусом", "корп", "типоразмер", "типоразмера", "размер", "case", "package",
    "pkg",
     "кейс")
)
PITCH_WORDS = frozenset(("шаг", "шагом", "шага", "pitch"))
PIN_WORDS = (
    "контакт", "конт", "вывод", "пин", "pin", "ног", "ножк", "ножек", "позици", "полюс", "way", "pos", "position",
    "штырьк", "штырей", "клемм", "жил",
)
QUANTITY_WORDS = ("шт", "штук", "штуки", "штука", "штуку", "pcs", "pieces", "piece", "pc", "штучек", "экз", "ea",
"units")
# fmt: on

_MAX_ENDING = 9


def _load() -> tuple[dict[str, str], dict[str, str]]:
    whole: dict[str, str] = {}
    stems: dict[str, str] = {}
    for line in CONCEPTS.strip().splitlines():
        concept, *forms = line.split()
        for form in forms:
            form = form.replace("ё", "е")
            if form.endswith("="):
                whole.setdefault(form[:-1], concept)
            else:
                stems.setdefault(form, concept)
    return whole, stems


_WHOLE, _STEMS = _load()
_LEXICON = Lexicon(form for form in (*_WHOLE, *_STEMS) if len(form) >= 5 and form.isalpha())


@lru_cache(maxsize=8192)
def concept(word: str) -> str | None:
    """The concept of a lower-case word with ё written as е, None for a word of no table."""
    if found := _WHOLE.get(word):
        return found
    for end in range(len(word), max(1, len(word) - _MAX_ENDING) - 1, -1):
        # a short stem takes a short ending only: `мост` makes `мостовой`, not every word that begins so
        if (found := _STEMS.get(word[:end])) and (end > 4 or len(word) - end <= 3):
            return found
    return None


@lru_cache(maxsize=8192)
def color(word: str) -> str | None:
    if found := COLORS_WHOLE.get(word):
        return found
    for stem, english in COLORS.items():
        if word.startswith(stem) and word[len(stem) :] in _ADJECTIVE:
            return english
    return None


@lru_cache(maxsize=1024)
def tempered(word: str) -> str | None:
    """`тёплый` → warm, of a white LED."""
    return next((english for stem, english in TEMPERED.items() if word.startswith(stem)), None)


_ENDINGS = "ый ий ая яя ое ее ые ие ого его ой ей ую юю ых их ым им ыми ими ом ем"
_ADJECTIVE = frozenset(_ENDINGS.split())


@lru_cache(maxsize=4096)
def mistyped(word: str) -> str | None:
    """The concept of the table's word that is meant by a typo; never asked for a word with digits."""
    meant = _LEXICON.nearest(word)
    return concept(meant) if meant else None


@lru_cache(maxsize=4096)
def on_other_layout(word: str) -> str | None:
    """What was meant by a word typed under the other keyboard layout, None when that makes no word either."""
    swapped = other_layout(word).lower().replace("ё", "е")
    if len(swapped) < 4 or not swapped.isalpha():
        return None
    return swapped if concept(swapped) or color(swapped) else None


@lru_cache(maxsize=4096)
def in_one_script(word: str) -> str:
    """Latin look-alikes inside of a Russian word become Cyrillic, and the other way round: `pезистор`."""
    folded = fold(word)
    if folded.isascii():
        return folded
    return word.translate(_LOWER_TWINS)


_LOWER_TWINS = str.maketrans("aekmhopctyxb", "аекмнорстухв")
