"""Words that tables of several languages are made of."""


def _split(text: str) -> list[str]:
    return text.split()


GIVEN = {
    "en": _split("""John Mary William Anna James Margaret George Elizabeth Thomas Sarah Robert Alice Henry Emma Charles
        Jane Edward Ruth Arthur Grace Walter Helen Frank Clara Albert Edith Fred Florence Harry Ethel Joseph
        Bertha Samuel Minnie"""),
    "de": _split("""Hans Anna Karl Maria Peter Ursula Klaus Monika Jürgen Petra Wolfgang Elisabeth Günter Sabine Heinz
        Renate Werner Helga Uwe Karin Manfred Brigitte Gerhard Ingrid Bernd Erika Frank Andrea Dieter Gisela
        Rainer Claudia Björn"""),
    "es": _split("""José María Antonio Carmen Manuel Ana Francisco Isabel Juan Dolores David Pilar Javier Teresa Daniel
        Rosa Jesús Cristina Carlos Lucía Alejandro Marta Miguel Elena Rafael Mercedes Pedro Raquel Ángel
        Silvia"""),
    "fr": _split("""Jean Marie Pierre Jeanne Michel Françoise André Monique Philippe Catherine Alain Nathalie Bernard
        Isabelle"""),
}
SURNAMES = {
    "en": _split("""Smith Jones Taylor Brown Williams Wilson Johnson Davies Robinson Wright Thompson Evans Walker White
        Roberts Green Hall Wood Jackson Clarke Hughes Edwards Hill Turner Cooper Ward Morris Moore Clark Lee
        King Baker Harrison"""),
    "de": _split("""Müller Schmidt Schneider Fischer Weber Meyer Wagner Becker Schulz Hoffmann Schäfer Koch Bauer
        Richter Klein Wolf Schröder Neumann Schwarz Zimmermann Braun Krüger Hofmann Hartmann Lange Schmitt Werner
        Krause Meier"""),
    "es": _split("""García Rodríguez González Fernández López Martínez Sánchez Pérez Gómez Martín Jiménez Ruiz Hernández
        Díaz Moreno Muñoz Álvarez Romero Alonso Gutiérrez Navarro Torres Domínguez Vázquez Ramos Gil Ramírez
        Serrano"""),
}
CITIES = {
    "en": _split("London Bristol Leeds Norwich Exeter York Durham Oxford Derby Lincoln Preston Reading Bath Carlisle"),
    "de": _split("""Berlin Hamburg München Köln Frankfurt Stuttgart Düsseldorf Leipzig Dortmund Essen Bremen Dresden
        Hannover"""),
    "es": _split(
        "Madrid Barcelona Valencia Sevilla Zaragoza Málaga Murcia Palma Bilbao Alicante Córdoba Valladolid Vigo"
    ),
    "fr": _split("Paris Marseille Lyon Toulouse Nice Nantes Montpellier Strasbourg Bordeaux Lille Rennes Reims Toulon"),
}
TRADES = {
    "de": _split(
        "Maschinenbau Elektrotechnik Logistik Bau Immobilien Software Handels Verlag Metallbau Gartenbau Transport"
    )
}
FORMS = {"de": ["GmbH", "Gesellschaft mit beschränkter Haftung", "AG", "GmbH & Co. KG", "e.K.", "KG"]}
CYRILLIC = (
    _split("Иван Пётр Сергей Андрей Николай Дмитрий Алексей Михаил Владимир Павел Борис Олег Игорь Юрий Виктор"),
    _split("""Иван Петр Сидор Кузнец Смирн Попов Вол Соколь Лебед Козл Новик Мороз Павл Зайц Голуб Виноград Богдан Фёдор
    Белик Тарас Жук Комар Осип Титан Марк Влас Гроз Ряб Полян Шест"""),
    _split("Москва Казань Самара Омск Уфа Пермь Воронеж Волгоград Саратов Тюмень Тула Томск"),
)
HAN = (
    "王李张刘陈杨赵黄周吴徐孙胡朱高林何郭马罗",
    "伟芳娜敏静丽强磊军洋勇艳杰娟涛明超秀霞平刚桂英华玉兰红梅建国志文海云天宇浩",
    _split("北京 上海 广州 深圳 成都 武汉 西安 南京 杭州 重庆"),
    _split("人民 中山 解放 建设 和平 新华 长江 黄河 文化 光明"),
    _split("科技有限公司 贸易有限公司 第一小学 人民医院 银行 建筑公司"),
)
SYLLABLES = {
    "en": (
        _split("ash bel cor dun elm fer gar hal kel lan mor nor pen rad sel thorn wil win"),
        _split("a e i o er in"),
        _split("ton ham ley ford worth by field wick son man den well"),
    ),
    "de": (
        _split("ahr berg dach eich feld grün hof kirch lind mühl neu ober roth stein wald wein"),
        _split("en er el"),
        _split("bach berg dorf hausen heim mann müller wald stein burg feld hof"),
    ),
    "es": (
        _split("al bar cas del fer gal her lor mon nar ol par quin ros sal tor val zar"),
        _split("a e i o ande ar"),
        _split("cón dez gado lla mendi nes rado sco tero vedo zábal ñez"),
    ),
    "fr": (
        _split("aub beau char dur fon gran haut lam mer nor per roch saint tour val vill"),
        _split("a e i on er"),
        _split("court eau ier ière lac mont neuf pin teau ville vigne zac"),
    ),
}


def invented(draw, language: str) -> str:
    """An invented name that sounds like the language."""
    first, middle, last = (parts[draw.integers(len(parts))] for parts in SYLLABLES[language])
    return (first + middle * int(draw.random() < 0.5) + last).capitalize()
